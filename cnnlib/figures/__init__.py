"""Pictures that teach: numbers in, a matplotlib Figure out.

Read in this order:

1. ``style``        one look: colours by role, the card, the alt text
2. ``grids``        a grid of numbers, of which most pictures consist
3. ``convolution``  section 7.2: sums, bias, channels, sizes; with it ``blocks``, ``responses``
   (section 7.6, too) and ``learning``
4. ``im2col``       section 7.4: windows laid out as a matrix, its size, its axes, its speed
5. ``pooling``      sections 7.3 and 7.4: moved images, the way back, the three steps
6. ``training``     sections 7.5 to 7.7: networks, curves, digits, filters, feature maps
7. ``structure``    section 7.1: networks stage by stage, what flows through them
8. ``explorer``     static pictures of the Window Explorer that the others do not draw
9. ``answers``, ``progress``  section 7.5: what the digit pad and the training panel show
10. ``seeing``, ``fields``    section 7.6: filters, preferred images, receptive fields
11. ``architecture``, ``comparison``, ``input_size``, ``squashing``, ``subsampling``,
    ``normalization``         section 7.7: LeNet and AlexNet, and what changed in between
12. ``journey``     section 7.8: one digit on its way through a network

Import the subject that you need: ``from cnnlib.figures import convolution``.
"""
