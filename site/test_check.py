"""Does check.py find what it is there for? python3 site/test_check.py

Each test makes one fault in a small site that is whole, and expects the sentence about it and no other.
"""

import html
import tempfile
import unittest
from pathlib import Path

import check
import workspace

WHOLE = """<html><head><link rel="stylesheet" href="_static/site.css"></head><body>
<h1 id="top">A page</h1><p>In 5 $ and $x dollars, and <code>\\alpha</code>, <a href="sub/other.html#there">on</a>,
<a href="https://rustup.rs">far</a> <a href="api/crate/index.html">crate</a> <a href="#top">up</a></p>
<img src="_images/one.png" alt="An apple"><svg><use xlink:href="#top"></use></svg>
</body></html>"""
OTHER = '<html><body><h2 id="there">Other</h2><a href="../page.html">back</a><pre>let $x = \\sigma;</pre></body></html>'
SOURCE = """//! Words.
fn f() {
    // BEGIN SOLUTION 1.1 say something
    let secret = x_t * alpha_bar.sqrt() as f32;
    short()
    // END SOLUTION
}
"""
RUSTDOC = """<code>
<a href=#1 id=1 data-nosnippet>1</a>    <span>let</span> secret = x_t * alpha_bar.sqrt() <span>as</span> f32;
<a href=#2 id=2 data-nosnippet>2</a>
<a href=#3 id=3 data-nosnippet>3</a>    short()
</code>"""


class Check(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name).resolve()
        self.write("page.html", WHOLE)
        self.write("sub/other.html", OTHER)
        self.write("api/crate/index.html", "<html><body><script>x = 'href=\"${f}\"'</script></body></html>")
        self.write("_static/site.css", "")
        self.write("_images/one.png", "")

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def faults(self, secrets=frozenset()):
        site = check.Site(self.folder)
        site.secrets = set(secrets)
        return list(site.faults())

    def expect(self, page, *words):
        faults = self.faults()
        self.assertEqual(len(faults), 1, faults)
        self.assertTrue(faults[0].startswith(f"{page}: "), faults)
        for word in words:
            self.assertIn(word, faults[0])

    def change(self, old, new):
        self.assertIn(old, WHOLE)
        self.write("page.html", WHOLE.replace(old, new))

    def test_a_whole_site_has_no_fault(self):
        self.assertEqual(self.faults(), [])

    def test_no_pages_at_all(self):
        empty = self.folder / "empty"
        empty.mkdir()
        self.assertEqual(len(list(check.Site(empty).faults())), 1)

    def test_a_link_to_a_page_that_is_not_there(self):
        self.change("sub/other.html#there", "sub/another.html")
        self.expect("page.html", "sub/another.html", "leads nowhere")

    def test_a_link_to_a_heading_that_is_not_there(self):
        self.change("sub/other.html#there", "sub/other.html#here")
        self.expect("page.html", "here", "leads nowhere")

    def test_a_link_within_the_page(self):
        self.change('<a href="#top">', '<a href="#bottom">')
        self.expect("page.html", "bottom", "leads nowhere")

    def test_a_link_to_a_folder(self):
        self.change("sub/other.html#there", "sub")
        self.expect("page.html", "sub", "leads nowhere")

    def test_a_link_in_the_documentation(self):
        self.write("api/crate/index.html", '<a href="../src/crate/lib.rs.html#1">Source</a>')
        self.expect("api/crate/index.html", "lib.rs.html", "leads nowhere")

    def test_a_missing_figure(self):
        (self.folder / "_images/one.png").unlink()
        self.expect("page.html", "_images/one.png", "leads nowhere")

    def test_a_missing_style(self):
        (self.folder / "_static/site.css").unlink()
        self.expect("page.html", "site.css", "leads nowhere")

    def test_a_missing_glyph(self):
        self.change('xlink:href="#top"', 'xlink:href="#MJX-1"')
        self.expect("page.html", "MJX-1", "leads nowhere")

    def test_pictures_without_words(self):
        for words in ('alt=""', 'alt=" "', "", 'alt="_images/one.png"'):
            with self.subTest(words):
                self.change('alt="An apple"', words)
                self.expect("page.html", "_images/one.png", "no words")

    def test_latex_as_it_is_typed(self):
        for latex in (r"so \zeta is", "so $x_t$ is", "so $$x^2$$ is", r"so $\bar\alpha$ is"):
            with self.subTest(latex):
                self.change("A page", latex)
                self.expect("page.html", "LaTeX")

    def test_dollars_around_a_formula(self):
        formula = "in one go: {}<mjx-container><svg></svg></mjx-container>{}"
        self.change("A page", formula.format("", " costs $ 5"))
        self.assertEqual(self.faults(), [])
        for dollars in (("$", ""), ("", "$")):
            with self.subTest(dollars):
                self.change("A page", formula.format(*dollars))
                self.expect("page.html", "a dollar is shown")

    def test_something_fetched_from_elsewhere(self):
        self.change('href="_static/site.css"', 'href="https://cdn.example/site.css"')
        self.expect("page.html", "cdn.example", "fetched from elsewhere")

    def test_a_part_of_a_solution(self):
        (solution,) = workspace.solutions(SOURCE)
        secrets = check.rows(solution)
        self.assertEqual(secrets, {"let secret = x_t * alpha_bar.sqrt() as f32; short()"})
        for page in ("page.html", "api/crate/index.html"):
            with self.subTest(page):
                self.write(page, RUSTDOC)
                faults = [fault for fault in self.faults(secrets) if "solution" in fault]
                self.assertEqual([fault.split(":")[0] for fault in faults], [page])
                self.setUp()

    def test_a_line_that_a_solution_has_as_well(self):
        self.write("api/crate/index.html", RUSTDOC.replace("short", "other"))
        (solution,) = workspace.solutions(SOURCE)
        self.assertEqual(self.faults(check.rows(solution)), [])

    def test_each_solution_of_this_tree(self):
        for solution in workspace.all_solutions():
            with self.subTest(solution[0]):
                self.write("page.html", f"<pre>{html.escape(chr(10).join(solution))}</pre>")
                faults = list(check.Site(self.folder).solutions())
                self.assertTrue(faults)


if __name__ == "__main__":
    unittest.main()
