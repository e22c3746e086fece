"""Pictures that teach: numbers in, a matplotlib Figure out.

Read in this order:

1. ``style``        one look: colours by role, the card, the alt text
2. ``grids``        a grid of numbers, of which most pictures consist
3. ``convolution``  section 7.2: windows, sums, bias, channels; with it ``sizes``, ``blocks``,
   ``responses`` (section 7.6, too) and ``learning``
4. ``im2col``       section 7.4: windows laid out as a matrix, its size, its speed
5. ``pooling``      section 7.4: the three steps of max pooling by im2col
6. ``training``     sections 7.5 to 7.7: networks, curves, digits, filters, feature maps
7. ``structure``    section 7.1: networks stage by stage, what flows through them

Import the subject that you need: ``from cnnlib.figures import convolution``.
"""
