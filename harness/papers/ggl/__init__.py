"""What GGL (Li et al., CVPR 2022) shows beside its tables: loss landscapes, and the courses of its optimisers."""
