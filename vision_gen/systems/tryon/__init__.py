"""VITON-HD: virtual try-on at high resolution (Choi, Park, Lee, Choo, CVPR 2021), in three stages.

`segmentation` says which region of the person is what in the new garment, `warp` bends the garment, `synthesis` paints
the picture; `dress` has all three and is what a person uses.
"""
