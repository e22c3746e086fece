"""Pictures that teach: numbers in, a matplotlib Figure out.

Read in this order:

1. ``style``        one look: colours by role, the card, the alt text
2. ``grids``        a grid of numbers, of which most pictures consist
3. ``galleries``    images side by side; lines of pictures and signs, color bars
4. ``charts``       bars and tables
5. ``curves``       lines over axes: training runs, comparisons, activation functions
6. ``structure``    sections 7.1, 7.5, 7.7: networks stage by stage, what flows through them
7. ``convolution``  section 7.2: sums, bias, channels, sizes
8. ``pooling``      sections 7.3 and 7.4: moved images, the way back, the three steps
9. ``im2col``       section 7.4: windows laid out as a matrix, its size, its axes, its speed
10. ``seeing``      sections 7.2 and 7.6: what filters answer to, what units of deep layers see
11. ``journey``     section 7.8: one digit on its way through a network
12. ``explorer``    the static twin of the Window Explorer

Import the subject that you need: ``from cnnlib.figures import convolution``.
"""
