"""The package under which the code of algorithms is imported.

A deployed module `a_<hash>` is imported as `compox_core.algorithms.scope.a_<hash>`: a real package name, so classes
pickle, and a child process that imports it finds it again, because importing this package installs the finder. Inside,
`import helpers` means the algorithm's own `helpers`; `sys.path` and the top level of `sys.modules` stay untouched.
See docs/decisions/0002-import-scope.md.
"""

from compox_core.algorithms.scope.finder import install

install(__name__)
