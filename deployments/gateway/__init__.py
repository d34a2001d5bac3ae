"""The gateway: HTTP for apps, and for people who open a picture or a contact sheet by its link.

Apps show a token, which stands for an owner; links carry a signature, which opens one thing. The Prefect API, which can
do whatever it is told, stays behind it.
"""
