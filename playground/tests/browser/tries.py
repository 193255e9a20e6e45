"""What somebody does on the page, and what must come of it."""

import base64
import json
import struct
import time
import zlib

SUBMIT, TAB, DOWN, RIGHT, SPACE = "\ue007", "\ue004", "\ue015", "\ue014", " "
RESULT = "document.querySelectorAll('#samples-shown canvas')[1]"
IS_DONE = "return document.getElementById('status').textContent.startsWith('Done')"
IS_STEPPING = "return document.getElementById('status').textContent.startsWith('Step')"


class Stage:
    """A browser on the page, and what belongs to it."""

    def __init__(self, browser, driver, server, folder, shots):
        self.browser, self.driver, self.server, self.folder, self.shots = browser, driver, server, folder, shots
        self.open()

    def open(self):
        self.browser.go(self.server.address)
        self.ready()

    def ready(self):
        self.browser.until("return document.querySelectorAll('#shipped button').length >= 16", "the page is there")

    def choose(self, task, **fields):
        self.browser.click(f"input[name=task][value={task}] + span")
        for name, value in fields.items():
            self.browser.type(f"#{name}", str(value))

    def pick(self, selector, value):
        self.browser.run("const s = document.querySelector('%s'); s.value = '%s';"
                         "s.dispatchEvent(new Event('change'));" % (selector, value))

    def run(self):
        self.browser.click("#run")

    def done(self):
        self.browser.until(IS_DONE, "the run is done")

    def pixels(self, canvas=RESULT):
        """All pixels of a canvas as text."""
        return self.browser.run(
            f"const c = {canvas}; if (!c || !c.width) return null;"
            "return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.join()")

    def text(self, selector):
        return self.browser.run("const e = document.querySelector('%s'); return e.hidden ? '' : e.innerText" % selector)

    def shot(self, name):
        if self.shots:
            self.browser.screenshot(self.shots / f"{name}.png")


def png(width, height, grey=128):
    """The bytes of a grey PNG, made without a library."""
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    packer, rows = zlib.compressobj(1), b""
    for _ in range(height):
        rows += packer.compress(b"\0" + bytes([grey]) * width)
    rows += packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def first_picture(stage):
    """the first picture is there within 15 seconds of the command"""
    stage.choose("reconstruct", steps=1000)
    stage.run()
    stage.browser.until(f"return {RESULT}?.width > 0", "a picture")
    if not hasattr(stage.server, "seconds"):
        stage.server.seconds = time.monotonic() - stage.server.started
    assert stage.server.seconds < 15, f"it took {stage.server.seconds:.1f} s"
    stage.browser.click("#cancel")
    stage.browser.until("return !document.getElementById('run').disabled", "it stops")


def stroke_and_sdedit(stage):
    """a stroke is drawn with the mouse, and SDEdit makes something of it"""
    before = stage.pixels("document.getElementById('easel')")
    stage.choose("edit", steps=60, samples=2)
    stage.browser.drag("#easel", [(0.2, 0.3), (0.5, 0.7), (0.8, 0.3)])
    drawn = stage.pixels("document.getElementById('easel')")
    assert drawn != before, "the stroke does not show"
    stage.run()
    stage.browser.until(f"return {RESULT}?.width > 0", "a picture")
    first = stage.pixels()
    stage.done()
    assert stage.pixels() != first, "the picture has not changed"
    assert "image.png" in stage.text("#command")
    stage.shot("edit")
    stage.browser.click("#undo")
    assert stage.pixels("document.getElementById('easel')") == before, "the stroke is not undone"


def dps_and_the_way_back(stage):
    """DPS shows its steps, its curves, several samples, and the way there on the slider"""
    stage.choose("reconstruct", steps=20, samples=3)
    stage.run()
    stage.done()
    last = stage.pixels()
    assert "dB" in stage.text("#samples-shown") and "mean" in stage.text("#agreement-shown")
    label = stage.browser.run("return document.getElementById('residual').getAttribute('aria-label')")
    assert label.startswith("Residual: sample 1 from"), label
    stage.shot("reconstruct")
    stage.browser.run("const s = document.getElementById('slider'); s.value = 0; s.dispatchEvent(new Event('input'));")
    assert "step 1, t = 1000" in stage.text("#moment"), stage.text("#moment")
    assert stage.pixels() != last, "the slider moves nothing"


def a_finger_draws_a_hole(stage):
    """a hole is drawn with a finger on a telephone, becomes the operator, and is filled"""
    stage.browser.phone(390, 844)
    stage.open()
    stage.choose("reconstruct", steps=10)
    stage.browser.click("input[name=tool][value=mask] + span")
    stage.browser.drag("#easel", [(0.3, 0.4), (0.7, 0.4), (0.7, 0.6), (0.3, 0.6)], kind="touch")
    assert stage.browser.run("return document.getElementById('operator').value") == "drawn-hole"
    wide = stage.browser.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide == 0, f"the page is {wide} pixels wider than the telephone"
    stage.run()
    stage.done()
    assert "mask:mask.png" in stage.text("#command")
    stage.shot("phone")


def keyboard_only(stage):
    """without a mouse: the stroke, the choice and the run"""
    browser = stage.browser
    before = stage.pixels("document.getElementById('easel')")
    browser.run("document.getElementById('easel').focus()")
    browser.keys(DOWN, RIGHT, SPACE)
    browser.run("document.activeElement.blur()")
    assert stage.pixels("document.getElementById('easel')") != before, "the space bar draws nothing"
    stage.choose("generate")
    browser.run("document.getElementById('steps').select()")
    browser.run("document.getElementById('steps').focus()")
    browser.keys("1", "2", SUBMIT)
    stage.done()
    assert "--steps 12" in stage.text("#command")
    # From the top of the page the Tab key comes to the button.
    browser.run("document.activeElement.blur(); scrollTo(0, 0)")
    for _ in range(40):
        browser.keys(TAB)
        if browser.run("return document.activeElement.id") == "run":
            return
    raise AssertionError("the Tab key does not come to the button Run")


def cancel(stage):
    """a run is cancelled, and the next one begins"""
    stage.choose("reconstruct", steps=1000)
    stage.run()
    stage.browser.until(IS_STEPPING, "it takes steps")
    stage.browser.click("#cancel")
    stage.browser.until("return document.getElementById('status').textContent.startsWith('Stopped')", "it stops", 20)
    stage.choose("generate", steps=3)
    stage.run()
    stage.done()


def reload_in_the_middle(stage):
    """a page that is loaded again finds its run, its form and its drawing"""
    stage.choose("reconstruct", steps=150, seed=11)
    stage.browser.drag("#easel", [(0.2, 0.2), (0.4, 0.2)])
    drawn = stage.pixels("document.getElementById('easel')")
    stage.run()
    stage.browser.until(IS_STEPPING, "it takes steps")
    stage.open()
    assert stage.browser.run("return document.getElementById('seed').value") == "11"
    assert stage.pixels("document.getElementById('easel')") == drawn, "the drawing is lost"
    stage.done()
    frames = int(stage.browser.run("return document.getElementById('slider').max"))
    assert frames > 50, f"{frames} moments of the way are there"


def two_tabs(stage):
    """of two tabs the second waits for the first"""
    first = stage.browser.tab()
    stage.choose("reconstruct", steps=120)
    stage.run()
    stage.browser.until(IS_STEPPING, "the first takes steps")
    stage.browser.new_tab()
    stage.open()
    stage.choose("generate", steps=5)
    stage.run()
    stage.browser.until("return document.getElementById('status').textContent.startsWith('Waiting')", "the second waits")
    stage.done()
    stage.browser.to_tab(first)
    stage.done()


def bad_input(stage):
    """what cannot be done gets its sentence on the page, and ends nothing"""
    files = {"notes.txt": b"these are no pixels", "photo.png": png(8000, 6250), "mask.png": png(10, 20, 0)}
    for name, content in files.items():
        (stage.folder / name).write_bytes(content)
    note = lambda words: stage.browser.until(
        "return document.getElementById('image-note').textContent.includes('%s')" % words, words)
    stage.browser.upload("#image-file", stage.folder / "notes.txt")
    note("not those of an image")
    stage.browser.upload("#image-file", stage.folder / "photo.png")
    note("8000x6250 cropped to the centre 6250x6250 and resized to 64x64")
    stage.browser.upload("#mask-file", stage.folder / "mask.png")
    note("mask.png: 10x20 cropped to the centre 10x10 and resized to 64x64")
    refusals = [
        ({"steps": "1000000000"}, "steps: expected a whole number from 1 to 1000, got `1000000000`"),
        ({"steps": "20", "samples": "100"}, "samples: expected a whole number from 1 to 8"),
        ({"samples": "1", "noise": "much"}, "noise: expected a number from 0 to 10"),
        ({"noise": "0.05", "seed": "one"}, "seed: expected"),
    ]
    stage.choose("reconstruct")
    for fields, sentence in refusals:
        stage.choose("reconstruct", **fields)
        stage.run()
        stage.browser.until("return document.getElementById('refusal').textContent.includes('%s')" % sentence, sentence)
    stage.shot("refusal")
    # What the page itself would never send.
    status, answer = stage.server.ask("api/runs", json.dumps({
        "task": "edit", "steps": "5", "samples": "1", "seed": "0", "mask": base64.b64encode(b"\1" * 100).decode(),
        "image": {"name": "image.png", "rgb": base64.b64encode(bytes(3 * 64 * 64)).decode()}}).encode())
    assert status == 422 and "the mask has 100 pixels: expected 64x64" in answer["sentence"], answer
    stage.choose("reconstruct", steps=2, seed=0)
    stage.pick("#operator", "inpainting:0.7")
    stage.run()
    stage.done()


def the_same_without_the_page(stage):
    """a saved run gives the same picture without the page, pixel for pixel"""
    stage.browser.devtools("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(stage.folder)})
    stage.choose("reconstruct", steps=8, samples=1, seed=5)
    stage.pick("#method", "diffpir")
    stage.run()
    stage.done()
    stage.browser.click("#save-run")
    run = stage.folder / "run.json"
    for _ in range(100):
        if run.exists():
            break
        time.sleep(0.1)
    stage.server.again(run, stage.folder / "again")
    picture = base64.b64encode((stage.folder / "again" / "sample-0.png").read_bytes()).decode()
    same = stage.browser.run(
        "const bytes = Uint8Array.from(atob('%s'), (letter) => letter.charCodeAt(0));"
        "const image = await createImageBitmap(new Blob([bytes]));"
        "const c = document.createElement('canvas'); c.width = image.width; c.height = image.height;"
        "c.getContext('2d').drawImage(image, 0, 0);"
        "return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.join()" % picture)
    assert same == stage.pixels(), "the pictures differ"


def in_the_dark(stage):
    """the page is dark where the system is"""
    scheme = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    stage.browser.devtools("Emulation.setEmulatedMedia", scheme)
    stage.choose("generate", steps=10, samples=4)
    stage.run()
    stage.done()
    ground = stage.browser.run("return getComputedStyle(document.body).backgroundColor")
    assert ground == "rgb(20, 24, 26)", ground
    stage.shot("generate-dark")


ALL = [first_picture, stroke_and_sdedit, dps_and_the_way_back, a_finger_draws_a_hole, keyboard_only, cancel,
       reload_in_the_middle, two_tabs, bad_input, the_same_without_the_page, in_the_dark]
