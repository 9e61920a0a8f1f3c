"""Runs the examples of the docs.

A block that begins with ```python run is run, and so is a comment `<!-- run … -->`, in which a page keeps what would only disturb its
readers: what an example needs, and what it is checked with. All of a page is one module, in its order; functions of it that are
called `test_…` and test cases are run at its end. Line numbers are those of the page.
"""

import logging
import os
import re
import sys
import traceback
import types
import unittest
from typing import Any, Iterator, List, Tuple

from harness import SDK

# What services raise is logged, which the examples expect.
logging.getLogger().addHandler(logging.NullHandler())

DOCS = os.path.join(SDK, "..", "..", "docs")
_BLOCK = re.compile(r"^```python run\n(?P<block>.*?)^```$|^<!-- run\n(?P<comment>.*?)^-->$", re.MULTILINE | re.DOTALL)


def examples(text: str) -> Iterator[Tuple[int, str]]:
    """The examples of a page that are to be run, with the number of the line before each."""
    for found in _BLOCK.finditer(text):
        group = "block" if found["block"] is not None else "comment"
        yield text.count("\n", 0, found.start(group)), found[group]


def pages() -> List[Tuple[str, str]]:
    """The pages that have examples to be run."""
    found = []
    for name in sorted(os.listdir(DOCS)):
        if name.endswith(".md"):
            with open(os.path.join(DOCS, name), encoding="utf-8") as file:
                text = file.read()
            if any(examples(text)):
                found.append((name, text))
    return found


def run_page(name: str, text: str) -> types.ModuleType:
    """Runs the examples of a page, as a module with the page's name."""
    module = types.ModuleType("docs_" + name[: -len(".md")].replace("-", "_"))
    sys.modules[module.__name__] = module
    for line, source in examples(text):
        code = compile("\n" * line + source, os.path.join("docs", name), "exec", dont_inherit=True)
        exec(code, vars(module))
    return module


class Examples(unittest.TestCase):
    def test_a_block_is_run_only_if_it_says_so(self) -> None:
        text = "Text\n\n```python\n1 / 0\n```\n\n```python run\na = 1\n```\n<!-- run\nb = a + 1\n-->\n<!-- c -->\n"
        self.assertEqual([source for _, source in examples(text)], ["a = 1\n", "b = a + 1\n"])
        self.assertEqual(vars(run_page("page.md", text))["b"], 2)

    def test_an_error_is_at_its_line_of_the_page(self) -> None:
        try:
            run_page("page.md", "# Title\n\n```python run\na = 1\n1 / 0\n```\n")
        except ZeroDivisionError as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            self.assertEqual((last.filename, last.lineno), (os.path.join("docs", "page.md"), 5))
        else:
            self.fail("nothing was run")


def load_tests(loader: unittest.TestLoader, tests: unittest.TestSuite, pattern: Any) -> unittest.TestSuite:
    """One test for each page, and the test cases that its examples define."""
    for name, text in pages():
        tests.addTest(unittest.FunctionTestCase(_page_test(name, text, loader), description=f"docs/{name}"))
    return tests


def _page_test(name: str, text: str, loader: unittest.TestLoader) -> Any:
    def run() -> None:
        module = run_page(name, text)
        for key, value in list(vars(module).items()):
            if key.startswith("test_") and callable(value):
                value()
        result = unittest.TestResult()
        loader.loadTestsFromModule(module).run(result)
        problems = [f"{test}: {trace}" for test, trace in [*result.failures, *result.errors]]
        assert not problems, "\n".join(problems)

    return run


if __name__ == "__main__":
    unittest.main()
