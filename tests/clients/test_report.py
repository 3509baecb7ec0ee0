"""The page of `pangu-loadtest report`, as a browser shows it.

The run is the golden one of the Rust tests. What the page says is compared with that file, read and put into words
here a second time.
"""

import base64
import json
import math
import subprocess

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from conftest import ROOT, programs

GOLDEN = ROOT / "tests/golden/report"
RUN = json.loads((GOLDEN / "run.json").read_text())
GROUPS = [group["name"] for group in RUN["groups"]]
PLOTS = {
    "latency", "group-latency", "outcomes", "p99", "answers", "refusals", "first-token", "token-gap",
}
FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The page of the run, and the one with a baseline."""
    directory = tmp_path_factory.mktemp("pages")
    made = {}
    for name, more in {"run": [], "baseline": ["--baseline", GOLDEN / "before.json"]}.items():
        made[name] = directory / f"{name}.html"
        command = [programs() / "pangu-loadtest", "report", GOLDEN / "run.json", "--html", made[name], *more]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        assert f"page: {made[name]}" in done.stdout
    return made


@pytest.fixture(scope="module")
def chromium(home, tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
    yield driver
    driver.quit()


@pytest.fixture
def show(chromium, pages):
    """Opens a page in a window of some width, light or dark."""

    def show(name="run", width=1280, scheme="light"):
        chromium.get("about:blank")
        emulate(chromium, width, scheme)
        chromium.get_log("browser"), chromium.get_log("performance")
        chromium.get(pages[name].as_uri())
        return chromium

    return show


def emulate(chromium, width, scheme="light"):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    colours = [{"name": "prefers-color-scheme", "value": scheme}]
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": colours})


def network(chromium, method):
    """Events of one kind that the network has seen since the log was last read."""
    events = [json.loads(entry["message"])["message"] for entry in chromium.get_log("performance")]
    return [event["params"] for event in events if event["method"] == f"Network.{method}"]


def numbers(chromium, plot):
    """The table below a plot: names of the columns, and rows of texts."""
    return chromium.execute_script(
        """
        const texts = (row) => [...row.children].map((cell) => cell.textContent);
        const table = document.querySelector(`#${arguments[0]} table`);
        return [texts(table.tHead.rows[0]), [...table.tBodies[0].rows].map(texts)];
        """,
        plot,
    )


def time(us):
    """A time in microseconds as the page has it: three digits and a unit."""
    unit, value = next((u, us / by) for u, by in [("s", 1e6), ("ms", 1e3), ("µs", 1)] if us >= 0.9995 * by or by == 1)
    decimals = 0 if value >= 99.95 or unit == "µs" else 1 if value >= 9.995 else 2
    return f"{value:.{decimals}f} {unit}"


def percentile(distribution, percent):
    if distribution["count"] * (100 - percent) / 100 + 1e-6 < 1:
        return "–"
    return time(next(us for up_to, us in distribution["percentiles"] if up_to >= percent))


def test_the_page_needs_nothing_but_itself(show, pages):
    for name in pages:
        chromium = show(name)
        asked = network(chromium, "requestWillBeSent")
        assert [event["request"]["url"] for event in asked] == [pages[name].as_uri()]
        assert chromium.execute_script("return performance.getEntriesByType('resource').length") == 0
        assert chromium.get_log("browser") == []


def test_the_page_runs_and_loads_nothing_foreign(show):
    chromium = show()
    chromium.execute_async_script(
        """
        const done = arguments[arguments.length - 1];
        const script = document.createElement("script");
        script.textContent = "window.foreign = true";
        const image = document.createElement("img");
        image.onerror = () => done();
        image.src = "http://127.0.0.1:9/image.png";
        document.body.append(script, image);
        """
    )
    assert chromium.execute_script("return window.foreign") is None
    assert [event.get("blockedReason") for event in network(chromium, "loadingFailed")] == ["csp"]
    complaints = [entry["message"] for entry in chromium.get_log("browser")]
    assert len([text for text in complaints if "Content Security Policy" in text]) >= 2, complaints


@pytest.mark.parametrize("width", [400, 1280, 1600])
def test_every_plot_is_drawn_inside_the_window(show, width):
    chromium = show("baseline", width)
    plots = chromium.execute_script(
        """
        const box = (element) => { const { left, right, top, bottom } = element.getBoundingClientRect();
                                   return { left, right, height: bottom - top }; };
        return [...document.querySelectorAll(".plot")].map((plot) => ({
          name: plot.id,
          area: box(plot.querySelector(".field")),
          lines: [...plot.querySelectorAll(".drawing path")].map((path) => ({
            ...box(path), length: path.getTotalLength(),
            paint: [getComputedStyle(path).stroke, getComputedStyle(path).fill].filter((paint) => paint !== "none"),
          })),
          labels: [...plot.querySelectorAll(".drawing text")].map((text) => ({ ...box(text), text: text.textContent })),
          legend: plot.querySelectorAll(".legend li").length,
        }));
        """
    )
    assert {plot["name"] for plot in plots} == PLOTS
    for plot in plots:
        area, lines = plot["area"], plot["lines"]
        assert area["height"] > 200 and area["right"] - area["left"] > 0.6 * min(width, 500), plot["name"]
        assert len(lines) == plot["legend"] >= 1, plot["name"]
        # A line alone may be flat; it may not be short, colourless, or outside.
        for line in lines:
            assert line["right"] - line["left"] > 0.9 * (area["right"] - area["left"]), plot["name"]
            assert line["left"] >= area["left"] - 2 and line["right"] <= area["right"] + 2, plot["name"]
            assert line["length"] > 900 and line["paint"], plot["name"]
        assert max(line["height"] for line in lines) > 4, plot["name"]
        assert len(plot["labels"]) >= 6, plot["name"]
        for label in plot["labels"]:
            assert 0 <= label["left"] and label["right"] <= width, (plot["name"], label)


@pytest.mark.parametrize("width", [320, 400, 768, 1600])
@pytest.mark.parametrize("name", ["run", "baseline"])
def test_nothing_is_wider_than_the_window(show, name, width):
    chromium = show(name, width)
    chromium.execute_script("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    assert chromium.execute_script("return document.documentElement.scrollWidth") <= width
    outside = chromium.execute_script(
        """
        const wide = (element) => element.getBoundingClientRect().right > document.documentElement.clientWidth + 1;
        return [...document.querySelectorAll("main *")].filter((e) => !e.closest(".scroll > *") && wide(e))
          .map((e) => e.outerHTML.slice(0, 100));
        """
    )
    assert outside == []


def test_legends_name_the_groups(show):
    chromium = show()
    for plot in ["group-latency", "answers", "refusals"]:
        items = chromium.find_elements(By.CSS_SELECTOR, f"#{plot} .legend li")
        assert [item.text for item in items] == GROUPS, plot
    strokes = chromium.execute_script(
        "return [...document.querySelectorAll('#answers .drawing path')].map((path) => getComputedStyle(path).stroke)"
    )
    assert len(set(strokes)) == len(GROUPS)


def test_tables_have_the_numbers_of_the_file(show):
    chromium = show()
    head, rows = numbers(chromium, "latency")
    assert head == ["percentile", "latency", "service time"]
    for percent in ["50", "90", "99", "99.9"]:
        expected = [percentile(RUN["totals"][what], float(percent)) for what in ["latency", "service"]]
        assert [percent, *expected] in rows
    for plot, what in [("first-token", "first_token"), ("token-gap", "token_gap")]:
        _, rows = numbers(chromium, plot)
        assert ["99", percentile(RUN["totals"][what], 99)] in rows
        assert ["max", time(RUN["totals"][what]["max_us"])] in rows

    _, rows = numbers(chromium, "p99")
    assert rows == [[str(i + 1), time(second["p99_us"])] for i, second in enumerate(RUN["seconds"])]

    head, rows = numbers(chromium, "outcomes")
    assert head[1:] == ["sent", "ok", "refused (429)", "failed or rejected"]
    sums = [[sum(second[what]) for what in ["sent", "ok", "refused", "failed"]] for second in RUN["seconds"]]
    assert rows == [[str(i + 1), *(f"{n:,}" for n in counts)] for i, counts in enumerate(sums)]

    for plot, what in [("answers", "ok"), ("refusals", "refused")]:
        head, rows = numbers(chromium, plot)
        assert head[1:] == GROUPS
        assert rows == [[str(i + 1), *(f"{n:,}" for n in second[what])] for i, second in enumerate(RUN["seconds"])]


def test_the_pointer_shows_the_row_below_it(show):
    chromium = show(width=1000)
    for plot, second in [("outcomes", 3), ("answers", 10), ("p99", 15)]:
        head, rows = numbers(chromium, plot)
        area = chromium.find_element(By.CSS_SELECTOR, f"#{plot} .field")
        chromium.execute_script("arguments[0].scrollIntoView({ block: 'center' })", area)
        box = area.rect
        x = math.floor(box["width"] * ((second - 0.5) / len(RUN["seconds"]) - 0.5))
        ActionChains(chromium, duration=0).move_to_element_with_offset(area, x, 0).perform()
        tip = chromium.find_element(By.CSS_SELECTOR, f"#{plot} .tip")
        assert tip.is_displayed(), plot
        said = [line.text for line in tip.find_elements(By.TAG_NAME, "p")]
        expected = zip(head[1:], rows[second - 1][1:])
        assert [" ".join(line.split()) for line in said] == [f"{head[0]} {second}", *(" ".join(e) for e in expected)]
        dots = chromium.execute_script(
            "return [...document.querySelectorAll(`#${arguments[0]} .marker circle`)].map((dot) => dot.getBoundingClientRect().left)",
            plot,
        )
        pointer = box["x"] + box["width"] / 2 + x
        assert len(dots) == len(head) - 1 and all(abs(left + 4 - pointer) < 4 for left in dots), (plot, dots, pointer)


def test_the_arrow_keys_show_rows_and_escape_hides_them(show):
    chromium = show()
    drawing = chromium.find_element(By.CSS_SELECTOR, "#latency .drawing")
    tip = chromium.find_element(By.CSS_SELECTOR, "#latency .tip")
    head, rows = numbers(chromium, "latency")
    assert not tip.is_displayed()
    chromium.execute_script("arguments[0].focus()", drawing)
    for key, row in [(Keys.ARROW_RIGHT, 0), (Keys.ARROW_RIGHT, 1), (Keys.END, -1), (Keys.ARROW_LEFT, -2)]:
        ActionChains(chromium).send_keys(key).perform()
        assert tip.text.splitlines()[0] == f"{head[0]} {rows[row][0]}"
    ActionChains(chromium).send_keys(Keys.ESCAPE).perform()
    assert not tip.is_displayed()


def test_a_baseline_is_dashed_and_its_changes_are_listed(show):
    chromium = show("run")
    assert chromium.find_elements(By.CSS_SELECTOR, ".line.dashed") == []
    chromium = show("baseline")
    for plot, curves in [("latency", 2), ("first-token", 1), ("token-gap", 1)]:
        dashed = chromium.find_elements(By.CSS_SELECTOR, f"#{plot} .drawing .dashed")
        assert len(dashed) == curves, plot
        assert dashed[0].value_of_css_property("stroke-dasharray") != "none"
    before = json.loads((GOLDEN / "before.json").read_text())
    p50 = [percentile(run["totals"]["latency"], 50) for run in (before, RUN)]
    changed = chromium.find_element(By.CSS_SELECTOR, ".changed").text
    assert f"latency p50 {p50[0]} {p50[1]}" in changed
    assert "Oracle: was BROKEN, is held: tenant noisy" in changed


def test_claims_show_how_much_of_their_bound_was_used(show):
    chromium = show()
    claims = chromium.find_elements(By.CSS_SELECTOR, ".claims > li")
    checks = RUN["oracle"]["checks"]
    assert len(claims) == len(checks) > 3
    for claim, check in zip(claims, checks):
        assert check["claim"] in claim.text
        assert ("held" if check["evidence"] else "not shown") in claim.text
        bars = claim.find_elements(By.CSS_SELECTOR, ".bar")
        assert len(bars) == (check["tightest"] is not None)
        for bar in bars:
            room, use = (bar.find_element(By.CSS_SELECTOR, part).rect["width"] for part in (".room", ".use"))
            assert abs(use / room - check["tightest"]) < 0.01, check["claim"]


def test_what_the_mock_and_the_policies_did_is_shown(show):
    chromium = show()
    rows = chromium.find_elements(By.CSS_SELECTOR, "#around tbody tr")
    shown = [tuple(row.find_element(By.CSS_SELECTOR, cell).text for cell in ("th", "td")) for row in rows]
    upstream, reloads = RUN["upstream"], RUN["reloads"]
    expected = [
        ("requests", upstream["requests"]), ("completed", upstream["completed"]), ("caller left", upstream["cancelled"]),
        ("broken on purpose", upstream["faulted"]), ("connections", upstream["connections"]), ("tenants", upstream["tenants"]),
        ("good", reloads["good"]), ("took effect", reloads["taken"]),
        ("bad", reloads["bad"]), ("refused", reloads["refused"]),
    ]
    assert shown == [(name, f"{number:,}") for name, number in expected]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(show, scheme):
    chromium = show("baseline", scheme=scheme)
    texts = chromium.execute_script(
        """
        const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
        function behind(element) {
          for (let e = element; e; e = e.parentElement) {
            const back = channels(getComputedStyle(e).backgroundColor);
            if (back.length === 3 || back[3] > 0) return back;
          }
        }
        const own = (e) => [...e.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
        const texts = [...document.querySelectorAll("main *:not(title, desc)")].filter(own);
        return texts.map((e) => {
          const style = getComputedStyle(e);
          const drawn = e.closest("svg") !== null;
          return [e.textContent.slice(0, 40), channels(drawn ? style.fill : style.color), behind(e)];
        });
        """
    )
    assert len(texts) > 150

    def luminance(colour):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in colour[:3])]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    # WCAG 2.2, 1.4.3: the contrast that people with moderately low vision need.
    for text, front, back in texts:
        light, dark = sorted((luminance(front), luminance(back)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, front, back)


def test_paper_is_light_and_has_the_numbers(show):
    chromium = show(scheme="dark")
    assert base64.b64decode(chromium.print_page()).startswith(b"%PDF")
    assert chromium.execute_script("return [...document.querySelectorAll('details')].every((one) => one.open)")
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    ink = chromium.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert ink == "rgb(255, 255, 255)"


@pytest.mark.parametrize("name,width,scheme", [
    ("run", 1280, "light"), ("run", 1280, "dark"), ("baseline", 1600, "light"), ("run", 400, "light"),
])
def test_a_picture_is_kept(show, capsys, name, width, scheme):
    chromium = show(name, width, scheme)
    height = chromium.execute_script("return document.documentElement.scrollHeight")
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
    shot = chromium.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
    picture = programs().parent / "report" / f"{name}-{width}-{scheme}.png"
    picture.parent.mkdir(exist_ok=True)
    picture.write_bytes(base64.b64decode(shot["data"]))
    assert picture.stat().st_size > 50_000, "an empty page is smaller"
    with capsys.disabled():
        print(f"\npicture: {picture}")
