"""The JavaScript runtime: ES modules that run bundles in pages, in workers and in Node.

Nothing in here is Python; the folder is a package so that the modules travel with weft
(``importlib.resources.files("weft.runtime_js")``) and bundles can be written without npm.
"""
