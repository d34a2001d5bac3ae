"""Quality: are these bytes a picture (verifying), and is the picture good enough (judging)?

Knows nothing of providers, storage or what the picture is for; a gate's settings say what "good enough" is.
"""
