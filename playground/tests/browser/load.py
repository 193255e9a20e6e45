"""Many at once, many after the other, and somebody who goes away."""

import concurrent.futures
import json
import time
import urllib.request

import tries

REQUESTS = 1000
RUNS = 200
# In MB, over 200 runs after 20 others. Measured: less than 1. A server that kept what each run told would grow by 13.
MOST_GROWTH = 6


def wish(steps):
    fields = {"task": "generate", "method": "ancestral", "steps": str(steps), "samples": "1", "seed": "0"}
    return json.dumps(fields).encode()


def follow(server, number):
    """All that a run tells, to its end."""
    with urllib.request.urlopen(f"{server.address}api/runs/{number}/events", timeout=120) as events:
        return events.read().decode()


def many_at_once(stage):
    """a thousand requests at once are answered, and the server lives"""
    stage.choose("reconstruct", steps=1000)
    stage.run()
    stage.browser.until(tries.IS_STEPPING, "it takes steps")
    paths = ["api/offers", "", "main.js"]

    def one(number):
        try:
            if number % 4 == 3:
                return stage.server.ask("api/runs", wish(1))[0]
            with urllib.request.urlopen(stage.server.address + paths[number % 4], timeout=120) as answer:
                return answer.status if answer.read() else 0
        except OSError as error:
            return repr(error)

    with concurrent.futures.ThreadPoolExecutor(max_workers=REQUESTS) as pool:
        answers = list(pool.map(one, range(REQUESTS)))
    # 422: as many runs wait as may.
    strange = [answer for answer in answers if answer not in (200, 422)]
    assert not strange, f"{len(strange)} of {REQUESTS} were not answered: {strange[:3]}"
    assert stage.server.is_alive()
    stage.browser.until(tries.IS_STEPPING, "the run goes on")
    stage.browser.click("#cancel")
    stage.browser.until("return !document.getElementById('run').disabled", "it stops")


def somebody_goes_away(stage):
    """a run whose page was closed makes room for the next"""
    browser = stage.browser
    first = browser.tab()
    browser.new_tab()
    stage.open()
    stage.choose("reconstruct", steps=1000, samples=8)
    stage.run()
    browser.until(tries.IS_STEPPING, "it takes steps")
    browser.call("DELETE", "/window")
    browser.to_tab(first)
    stage.choose("generate", steps=2)
    start = time.monotonic()
    stage.run()
    stage.done()
    assert time.monotonic() - start < 60, "the run that nobody looks at went on"


def memory_stays(stage):
    """memory stays where it is over 200 runs"""
    def run_some(count):
        for _ in range(count):
            while True:
                status, answer = stage.server.ask("api/runs", wish(1))
                if status == 200:
                    break
                time.sleep(0.5)
            told = follow(stage.server, answer["id"])
            assert "event: done" in told, told[-500:]

    run_some(20)
    before = stage.server.memory()
    run_some(RUNS)
    after = stage.server.memory()
    print(f"        memory: {before:.0f} MB before {RUNS} runs, {after:.0f} MB after")
    assert after - before < MOST_GROWTH, f"memory grew from {before:.0f} to {after:.0f} MB"


ALL = [many_at_once, somebody_goes_away, memory_stays]
