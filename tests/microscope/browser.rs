//! Claim: the page works in a real browser, by mouse and by keyboard, and asks the network for nothing.
//!
//! Where Chromium and its driver are not installed (Debian: `chromium`, `chromium-driver`) the test says so and does
//! nothing. With `GRADUS_PICTURES=folder` it leaves pictures of the views there.

use std::path::PathBuf;

use super::builtin;
use super::webdriver::Browser;

const RIGHT: &str = "\u{e014}";
const ENTER: &str = "\u{e007}";

#[test]
fn the_page_works_in_a_browser_and_asks_the_network_for_nothing() {
    let pictures = std::env::var_os("GRADUS_PICTURES").map(PathBuf::from);
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    std::fs::write(&page, &builtin().1).unwrap();
    for (width, height) in [(1440, 1000), (390, 844)] {
        let Some(browser) = Browser::start(width, height) else {
            println!("skipped: chromium and chromedriver are not installed");
            return;
        };
        let picture = |name: &str| {
            if let Some(folder) = &pictures {
                browser.picture(folder, &format!("{name}-{width}"));
            }
        };
        // What the browser's own first page asks for is not this page's doing.
        browser.go("about:blank");
        browser.log("performance");
        browser.go(&format!("file://{}", page.display()));
        assert_eq!(browser.run("return document.title"), "Gradient microscope");
        walk_backward(&browser);
        picture("strip");
        arithmetic(&browser);
        picture("card");
        lab(&browser);
        picture("lab");
        language(&browser);
        norm_flow_and_film(&browser);
        quiz(&browser);
        bug(&browser);
        picture("bug");
        tour(&browser, &picture);
        let widest = browser.run("return document.documentElement.scrollWidth").as_u64().unwrap();
        assert!(widest <= u64::from(width) + 1, "{widest} is wider than a screen of {width}");
        let errors: Vec<_> =
            browser.log("browser").into_iter().filter(|entry| entry["level"] == "SEVERE").collect();
        assert!(errors.is_empty(), "{errors:?}");
        for entry in browser.log("performance") {
            let message = entry["message"].as_str().unwrap();
            if message.contains("\"Network.requestWillBeSent\"") {
                let message: serde_json::Value = serde_json::from_str(message).unwrap();
                let url = message["message"]["params"]["request"]["url"].as_str().unwrap_or_default();
                assert!(url.starts_with("file://") || url.starts_with("data:"), "asked for {url}");
            }
        }
    }
}

/// Goes through the whole reverse sweep, a key at a time.
fn walk_backward(browser: &Browser) {
    browser.click("[data-name='to-backward']");
    browser.run("document.activeElement.blur()");
    let steps = browser.run("return Number(document.getElementById('slider').max)").as_u64().unwrap();
    let now = "return Number(document.getElementById('now').dataset.time)";
    let start = browser.run(now).as_u64().unwrap();
    let mut nodes = vec![node(browser)];
    for step in start + 1..=steps {
        browser.press(&[RIGHT]);
        assert_eq!(browser.run(now), step);
        nodes.push(node(browser));
    }
    assert_eq!(browser.run("return document.getElementById('now').dataset.phase"), "backward");
    assert!(
        nodes.len() > 100 && nodes.is_sorted_by(|a, b| a > b),
        "the order of the tape, reversed: {nodes:?}"
    );
}

fn node(browser: &Browser) -> u64 {
    browser.run("return Number(document.getElementById('card').dataset.node)").as_u64().unwrap()
}

/// Opens the arithmetic of a cell by keyboard, and finds it to be the tape's.
fn arithmetic(browser: &Browser) {
    browser.click("[data-name='to-backward']");
    browser.run("document.activeElement.blur()");
    // The projection to logits: the second step of the sweep.
    browser.press(&[RIGHT]);
    browser.run("document.querySelector('canvas[data-key^=\"t\"]').focus()");
    browser.press(&[RIGHT, ENTER]);
    agrees(browser);
    let outlined = browser.run("return document.querySelectorAll('.arithmetic tbody tr').length");
    assert!(outlined.as_u64().unwrap() > 100, "a product with every word of the vocabulary");
}

/// The number computed in the page is the tape's.
fn agrees(browser: &Browser) {
    let number = |name: &str| {
        let text = browser.run(&format!("return document.querySelector('[data-{name}]').dataset.{name}"));
        text.as_str().unwrap().parse::<f64>().unwrap()
    };
    let (computed, tape) = (number("result"), number("tape"));
    assert!((computed - tape).abs() <= 1e-6 * tape.abs().max(1e-6), "{computed} is not {tape}");
}

fn lab(browser: &Browser) {
    browser.click("#tab-lab");
    let weights = "return document.querySelector('#lab canvas[data-key^=\"v\"]').toDataURL()";
    let first = browser.run(weights);
    browser.click("#lab [data-name='head-1']");
    assert_ne!(browser.run(weights), first, "another head, other numbers");
    let sums = "return Number(document.getElementById('invariant').dataset.worst)";
    assert!(browser.run(sums).as_f64().unwrap() < 1e-8, "rows of dS sum to zero");
    let entropy = "return document.querySelector('#saturation tr.here').textContent";
    let own = browser.run(entropy);
    browser.click("#lab [data-name='scale-none']");
    assert_ne!(browser.run(entropy), own);
    assert!(
        browser.run("return !!document.querySelector('#lab .warning')") == true,
        "said not to be the tape's"
    );
    browser.click("#lab [data-name='scale-head']");
    // dK, by the keyboard.
    browser.run("document.querySelectorAll('#lab canvas[data-key^=\"g\"]')[1].focus()");
    browser.press(&[ENTER]);
    agrees(browser);
}

fn language(browser: &Browser) {
    browser.click("#language");
    let title = "return document.querySelector('h1').textContent";
    assert_eq!(browser.run(title), "梯度显微镜");
    assert_eq!(browser.run("return document.documentElement.lang"), "zh-Hans");
    let text = browser.run("return document.getElementById('lab').textContent");
    assert!(text.as_str().unwrap().contains("注意力"), "{text}");
    browser.click("#language");
    assert_eq!(browser.run(title), "Gradient microscope");
}

fn norm_flow_and_film(browser: &Browser) {
    browser.click("#tab-norm");
    let worst = "return Number(document.getElementById('norm-sum').dataset.worst)";
    assert!(browser.run(worst).as_f64().unwrap() < 1e-8, "Σdx = 0");
    browser.click("#tab-flow");
    for claim in ["#causal", "#padding"] {
        let cross = format!("return document.querySelector('{claim} .cross')");
        assert!(browser.run(&cross).is_null(), "{claim}");
    }
    browser.click("#tab-film");
    let step = "return document.getElementById('film-step').textContent";
    let first = browser.run(step);
    browser.run(
        "const s = document.getElementById('film-slider'); s.value = 10; s.dispatchEvent(new Event('input'))",
    );
    assert_ne!(browser.run(step), first);
}

fn quiz(browser: &Browser) {
    browser.click("#tab-lab");
    browser.click("#quiz-start");
    let answer = |text: &str| {
        browser.run(&format!("document.getElementById('answer').value = '{text}'"));
        browser.click("#quiz-check");
        browser.run("return document.getElementById('quiz-said').className").as_str().unwrap().to_owned()
    };
    assert!(answer("12345").contains("wrong"));
    for _ in 0..4 {
        browser.click("#quiz-hint");
    }
    let hint = browser.run("return [...document.querySelectorAll('#quiz p')].at(-1).textContent");
    let hint = hint.as_str().unwrap().replace('−', "-");
    let number = hint.trim_end_matches('.').rsplit(' ').next().unwrap();
    // As people write powers of ten; the page reads e.
    let powers = "⁰¹²³⁴⁵⁶⁷⁸⁹";
    let digit = |c: char| powers.chars().position(|power| power == c).map_or(c, |k| (b'0' + k as u8) as char);
    let number: String = number.replace("·10", "e").replace('⁻', "-").chars().map(digit).collect();
    assert!(answer(&number).contains("right"), "{number}");
}

fn bug(browser: &Browser) {
    browser.click("#tab-bugs");
    browser.run(
        "const s = document.getElementById('bug');
         s.value = [...s.options].find((o) => o.textContent === 'masked_softmax: no inner product').value;
         s.dispatchEvent(new Event('change'))",
    );
    let missed = browser.run("return document.getElementById('missed').textContent");
    assert!(missed.as_str().unwrap().contains("falls"), "the loss falls all the same: {missed}");
    let culprit = browser.run("return document.getElementById('bug-card').dataset.node");
    browser.click("#tab-tape");
    assert_eq!(browser.run("return document.getElementById('card').dataset.node"), culprit);
    assert_eq!(browser.run("return document.getElementById('card').dataset.red"), "yes");
    let colour = "return getComputedStyle(document.getElementById('card')).borderLeftColor";
    assert_eq!(browser.run(colour), "rgb(178, 24, 43)", "the card is red");
    assert!(browser.run("return document.querySelector('#verdict .cross') !== null") == true);
    browser.click("#bug-banner button:last-child");
    assert_eq!(browser.run("return document.getElementById('card').dataset.red"), "no");
}

fn tour(browser: &Browser, picture: &dyn Fn(&str)) {
    browser.click("#tour-start");
    for step in 1..=12 {
        let title = browser.run("return document.querySelector('#tour h2').textContent");
        assert!(title.as_str().unwrap().starts_with(&format!("{step} / 12")), "{title}");
        assert!(
            browser.run("return document.querySelector('.pointed') !== null") == true,
            "step {step} points"
        );
        if step == 6 {
            picture("tour");
        }
        browser.click("#tour-next");
    }
    assert!(browser.run("return document.getElementById('tour').hidden") == true);
}
