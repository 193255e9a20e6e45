#!/usr/bin/env python3
"""Tries the playground in a real browser: python3 playground/tests/browser/run.py [--shots DIR]

Needs Chromium and its driver (Debian and Ubuntu: apt-get install chromium chromium-driver); where there are none, it
says so and passes. With --shots it leaves pictures of the page, wide, narrow, light and dark, to be looked at.
"""

import argparse
import pathlib
import sys
import tempfile

# No folder of compiled files beside the sources.
sys.dont_write_bytecode = True

import load
import tries
from driver import Browser, Driver, find
from server import Server

ROOT = pathlib.Path(__file__).resolve().parents[3]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shots", type=pathlib.Path, help="a folder for pictures of the page")
    parser.add_argument("--only", help="the tries whose names contain this")
    options = parser.parse_args()
    if not (find("browser") and find("driver")):
        print("playground: skipped in the browser, as there is no chromium with chromedriver here "
              "(Debian: apt-get install chromium chromium-driver)")
        return 0
    if options.shots:
        options.shots.mkdir(parents=True, exist_ok=True)
    chosen = [test for module in (tries, load) for test in module.ALL if not options.only or options.only in test.__name__]
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        server, driver = Server(ROOT), Driver()
        try:
            for test in chosen:
                browser = Browser(driver, 1400, 900)
                try:
                    test(tries.Stage(browser, driver, server, pathlib.Path(folder), options.shots))
                    complaints = [line for line in browser.complaints() if "status of 4" not in line]
                    assert not complaints, complaints
                    print(f"ok      {test.__doc__}")
                except (AssertionError, RuntimeError) as error:
                    failures += 1
                    print(f"FAILED  {test.__doc__}\n        {type(error).__name__}: {error}")
                finally:
                    browser.end()
        finally:
            driver.end()
            server.end()
    print(f"{len(chosen) - failures} of {len(chosen)} tries in the browser went well")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
