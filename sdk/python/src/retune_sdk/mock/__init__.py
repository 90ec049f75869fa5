"""The host's side outside of a component: the functions of the bindings, over NumPy arrays. Imported by `retune_sdk.backend`.

What would end a run in the sandbox raises `ValueError` here, at the author's line. Gradients are not kept.
"""
