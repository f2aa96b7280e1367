"""What languages with C's syntax share: names and scopes, expressions, statements.

``codegen/text.py`` is the generator as the compiler sees it; a language is a subclass of
``statements.CLike``, and of ``workgroup.Workgroup`` where kernels run in workgroups.
"""
