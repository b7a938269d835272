//! Claim: the page works in a real browser, by mouse and by keyboard, says what is so in every view, and asks the network for
//! nothing.
//!
//! Where Chromium and its driver are not installed (Debian: `chromium`, `chromium-driver`) the tests say so and do
//! nothing. With `GRADUS_PICTURES=folder` they leave pictures of the views there.

use std::collections::BTreeMap;
use std::path::PathBuf;

use gradus::autograd::faults::{self, Fault};
use serde_json::{Value, json};

use super::builtin;
use super::webdriver::Browser;

const RIGHT: &str = "\u{e014}";
const ENTER: &str = "\u{e007}";

/// A wide screen and a phone's.
const SCREENS: [(u32, u32); 2] = [(1440, 900), (390, 844)];

/// A browser with the page open; `None` where none is installed.
fn open((width, height): (u32, u32)) -> Option<Browser> {
    let browser = Browser::start(width, height);
    if browser.is_none() {
        println!("skipped: chromium and chromedriver are not installed");
    }
    let browser = browser?;
    // What the browser's own first page asks for is not this page's doing.
    browser.go("about:blank");
    browser.log("performance");
    std::fs::write(browser.folder().join("page.html"), &builtin().1).unwrap();
    browser.go(&page_of(&browser));
    Some(browser)
}

/// The address of the page, without what comes after `#`.
fn page_of(browser: &Browser) -> String {
    format!("file://{}", browser.folder().join("page.html").display())
}

/// Goes to an address of the page before the script goes on. (Browsers refuse hundreds of entries in their history.)
const GO: &str = "const go = (to) => microscope.open(to);";

#[test]
fn the_page_works_in_a_browser_and_asks_the_network_for_nothing() {
    let pictures = std::env::var_os("GRADUS_PICTURES").map(PathBuf::from);
    for screen in SCREENS {
        let Some(browser) = open(screen) else { return };
        let picture = |name: &str| {
            if let Some(folder) = &pictures {
                browser.picture(folder, &format!("{name}-{}", screen.0));
            }
        };
        assert_eq!(browser.run("return document.title"), "Gradient microscope");
        walk_backward(&browser);
        picture("strip");
        arithmetic(&browser);
        picture("card");
        lab(&browser);
        picture("lab");
        language(&browser);
        predictions(&browser);
        picture("predictions");
        norm_flow_and_film(&browser);
        quiz(&browser);
        bug(&browser);
        picture("bug");
        tour(&browser, &picture);
        browser.click("#language");
        tour(&browser, &|_| ());
        browser.click("#language");
        let widest = browser.run("return document.documentElement.scrollWidth").as_u64().unwrap();
        assert!(widest <= u64::from(screen.0) + 1, "{widest} is wider than a screen of {}", screen.0);
        no_errors(&browser);
        for entry in browser.log("performance") {
            let message = entry["message"].as_str().unwrap();
            if message.contains("\"Network.requestWillBeSent\"") {
                let message: Value = serde_json::from_str(message).unwrap();
                let url = message["message"]["params"]["request"]["url"].as_str().unwrap_or_default();
                assert!(url.starts_with("file://") || url.starts_with("data:"), "asked for {url}");
            }
        }
    }
}

fn no_errors(browser: &Browser) {
    let errors: Vec<_> =
        browser.log("browser").into_iter().filter(|entry| entry["level"] == "SEVERE").collect();
    assert!(errors.is_empty(), "{errors:?}");
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
    let lines = browser.run("return document.querySelectorAll('.arithmetic tbody tr').length");
    assert!(lines.as_u64().unwrap() > 100, "a product with every token of the vocabulary");
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
    browser.click("#lab [data-name='head-1']");
    let first = browser.run(weights);
    browser.click("#lab [data-name='head-2']");
    assert_ne!(browser.run(weights), first, "another head, other numbers");
    let placed = "const at = (s) => document.querySelector(`#lab [data-symbol='${s}'] canvas`).getBoundingClientRect();
        return ['Q', 'K', 'P', 'S', 'A', 'Ã', 'V', 'O'].map((s) => [s, at(s), at('d' + s)])
            .filter(([, v, g]) => Math.abs(v.left - g.left) > 1 || g.top < v.bottom || g.top > v.bottom + 140).map(([s]) => s)";
    assert_eq!(browser.run(placed), json!([]), "every gradient stands under its value");
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
    browser.run("document.querySelector('#lab [data-symbol=\"dK\"] canvas').focus()");
    browser.press(&[ENTER]);
    agrees(browser);
}

fn language(browser: &Browser) {
    browser.click("#language");
    let title = "return document.querySelector('h1').textContent";
    assert_eq!(browser.run(title), "梯度显微镜");
    assert_eq!(browser.run("return document.documentElement.lang"), "zh-Hans");
    let text = browser.run("return document.getElementById('lab').textContent");
    assert!(text.as_str().unwrap().contains("注意力头"), "{text}");
    browser.click("#language");
    assert_eq!(browser.run(title), "Gradient microscope");
}

fn predictions(browser: &Browser) {
    browser.click("#tab-words");
    let rows = "return document.querySelectorAll('#predictions tbody tr').length";
    let positions = "return Number(document.getElementById('predictions').dataset.positions)";
    assert_eq!(browser.run(rows), browser.run(positions));
    let guesses = "return [...document.querySelectorAll('#predictions tbody tr')].every((row) => row.querySelectorAll('.guess').length === 3)";
    assert!(browser.run(guesses) == true, "the three most probable tokens at every position");
}

fn norm_flow_and_film(browser: &Browser) {
    browser.click("#tab-norm");
    let broken = "return [...document.querySelectorAll('[data-statement]')].filter((s) => s.dataset.ok !== 'true').map((s) => s.id)";
    assert_eq!(browser.run(broken), json!([]));
    browser.click("#tab-flow");
    assert_eq!(browser.run(broken), json!([]));
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
    let number = hint.as_str().unwrap().trim_end_matches('.').rsplit(' ').next().unwrap().to_owned();
    assert!(answer(&number).contains("right"), "the page reads its own notation: {number}");
    // As programs write powers of ten.
    let powers = "⁰¹²³⁴⁵⁶⁷⁸⁹";
    let digit = |c: char| powers.chars().position(|power| power == c).map_or(c, |k| (b'0' + k as u8) as char);
    let number = number.replace('−', "-").replace("·10", "e").replace('⁻', "-");
    let number: String = number.chars().map(digit).collect();
    assert!(answer(&number).contains("right"), "{number}");
}

fn bug(browser: &Browser) {
    browser.click("#tab-bugs");
    browser.run(
        "const s = document.getElementById('bug');
         s.value = [...s.options].find((o) => o.textContent === 'masked_softmax: no inner product').value;
         s.dispatchEvent(new Event('change'))",
    );
    let list = |id: &str| {
        browser
            .run(&format!("return document.getElementById('{id}').textContent"))
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert!(list("missed").contains("falls"), "the loss falls all the same");
    assert!(
        list("idle").contains("model") && !list("missed").contains("model"),
        "fused models do not run it"
    );
    let culprit = browser.run("return document.getElementById('bug-card').dataset.node");
    browser.click("#tab-tape");
    assert_eq!(browser.run("return document.getElementById('card').dataset.node"), culprit);
    assert_eq!(browser.run("return document.getElementById('card').dataset.red"), "yes");
    let colour = "return getComputedStyle(document.getElementById('card')).borderLeftColor";
    assert_eq!(browser.run(colour), "rgb(178, 24, 43)", "the card is red");
    assert!(browser.run("return document.querySelector('#verdict .cross') !== null") == true);
    browser.click("#heal");
    assert_eq!(browser.run("return document.getElementById('card').dataset.red"), "no");
}

/// Every step points to something that is on the screen, and that neither the tour nor the sheet covers.
fn tour(browser: &Browser, picture: &dyn Fn(&str)) {
    browser.click("#tour-start");
    let shown = "const p = document.querySelector('.pointed'), box = p.getBoundingClientRect();
        const x = Math.min(Math.max(box.left + 8, 0), innerWidth - 1), y = Math.min(Math.max(box.top, 0) + 8, innerHeight - 1);
        const seen = document.elementFromPoint(x, y);
        return box.bottom > 8 && box.top < innerHeight && (p.contains(seen) || seen.contains(p)) ? '' : `${p.id} ${JSON.stringify(box)} behind ${seen.id || seen.tagName}`";
    for step in 1..=12 {
        let title = browser.run("return document.querySelector('#tour h2').textContent");
        assert!(title.as_str().unwrap().starts_with(&format!("{step} / 12")), "{title}");
        assert_eq!(browser.run(shown), "", "step {step} points to something on the screen");
        picture(&format!("tour{step}"));
        // What it calls things is what the maps and the arithmetic call them.
        let text = browser.run("return document.getElementById('tour').textContent");
        let cell = browser.run("return document.getElementById('dock-title').textContent");
        let (text, cell) = (text.as_str().unwrap(), cell.as_str().unwrap());
        for (at, law, symbol) in [
            (4, "dV = Ãᵀ·dO", "dV["),
            (5, "dÃ = dO·Vᵀ", "dÃ["),
            (5, "dA = m∘dÃ/(1−p)", "dÃ["),
            (7, "dP = dS/√d", "dQ["),
        ] {
            assert!(at != step || (text.contains(law) && cell.starts_with(symbol)), "{text} beside {cell}");
        }
        browser.click("#tour-next");
    }
    assert!(browser.run("return document.getElementById('tour').hidden") == true);
}

/// Ten random cells of every map of a view: what the arithmetic names is on the page, with the number it says.
const WALK: &str = "
    let seed = 1; const random = (n) => (seed = (seed * 48271) % 2147483647) % n;
    const wrong = [], seen = { cells: 0, names: 0, symbols: new Set() };
    const near = (a, b) => Math.abs(a - b) <= 1e-6 * Math.max(Math.abs(a), Math.abs(b)) + 1e-12;
    // As the page writes a number, with seven digits of it.
    const read = (text) => { const plain = text.replace(/−/g, '-').replace(/[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]/g, (c) => '-0123456789'['⁻⁰¹²³⁴⁵⁶⁷⁸⁹'.indexOf(c)]).replace('·10', 'e'); return Number(plain); };
    function walk(view) {
      for (const { key, symbol, rows, cols, picks } of microscope.maps()) for (let k = 0; picks && k < 10; k++) {
        const r = random(rows), c = random(cols), where = `${view}: ${symbol} (${key}) [${r},${c}]`;
        microscope.pick(key, r, c);
        seen.cells++;
        const tape = document.querySelector('#cell [data-tape]'), verdict = document.getElementById('cell-verdict');
        if (!document.getElementById('dock-title').textContent.includes('[') && rows * cols > 1) wrong.push(`${where}: no title`);
        if (tape && !near(Number(tape.dataset.tape), microscope.at(key, r, c)) ) wrong.push(`${where}: ${tape.dataset.tape} is not ${microscope.at(key, r, c)}`);
        if (verdict && verdict.dataset.ok !== 'true') wrong.push(`${where}: ${verdict.textContent}`);
        if (!microscope.outlined().includes(key)) wrong.push(`${where}: not outlined`);
        for (const operand of document.querySelectorAll('#cell .operand')) {
          const [, name, a, b] = operand.textContent.match(/^([^[]+)(?:\\[(\\d+)(?:,(\\d+))?\\])?$/) || [];
          const maps = [...document.querySelectorAll('figure.heat')].filter((figure) => figure.dataset.symbol === name);
          if (!maps.length) wrong.push(`${where}: ${operand.textContent} is not on the page`);
          for (const map of maps) {
            const [i, j] = b === undefined ? [0, a ?? 0] : [a, b], x = microscope.at(map.dataset.heat, Number(i), Number(j));
            if (!near(x, Number(operand.dataset.number))) wrong.push(`${where}: ${operand.textContent} is ${operand.dataset.number} here and ${x} on ${map.dataset.heat}`);
          }
          seen.names++; seen.symbols.add(name);
        }
        // The numbers that are read are those of the names before them.
        for (const row of document.querySelectorAll('#cell .arithmetic tbody tr')) {
          const operands = [...row.querySelectorAll('.name .operand')].map((o) => Number(o.dataset.number));
          const numbers = (row.querySelector('.numbers').textContent.match(/−?[\\d.]+(?:·10⁻?[⁰¹²³⁴⁵⁶⁷⁸⁹]+)?/g) || []).map(read);
          const last = read(row.querySelector('td.number').textContent.trim());
          for (const x of operands) if (![...numbers, last].some((y) => Math.abs(x - y) <= 1e-6 * Math.abs(x) + 1e-12)) wrong.push(`${where}: ${x} does not stand in ${row.textContent}`);
        }
        if (wrong.length > 20) return;
      }
    }";

#[test]
fn every_name_in_the_arithmetic_is_on_the_page_with_its_number() {
    let Some(browser) = open(SCREENS[0]) else { return };
    let walk = |views: &str| {
        let script = format!(
            "{GO} {WALK} {views}; return {{ wrong, cells: seen.cells, names: seen.names, symbols: [...seen.symbols] }}"
        );
        let found = browser.run(&script);
        assert_eq!(found["wrong"], json!([]), "{}", found["cells"]);
        assert!(found["cells"].as_u64().unwrap() > 100 && found["names"].as_u64().unwrap() > 1000, "{found}");
        found["symbols"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    // Every kind of op, and every node of the last attention.
    let cards = walk(
        "const ops = new Map(); microscope.record.nodes.forEach((node, id) => { if (node.inputs.length) ops.set(node.op, [...(ops.get(node.op) || []), id]); });
         const block = microscope.record.blocks.at(-1);
         for (const id of [...[...ops.values()].flatMap((ids) => [ids[0], ids.at(-1)]), ...Object.values(block)]) { go(`tab=tape&node=${id}&phase=forward&step=${id + 1}&head=${1 + random(4)}`); walk(`card of #${id}`); }",
    );
    for name in ["x", "W", "dy", "γ", "x̂", "g", "m", "ℓ", "p", "E"] {
        assert!(cards.iter().any(|other| other == name), "{name} is never named: {cards:?}");
    }
    let labs = walk(
        "microscope.record.blocks.forEach((block, k) => { for (let head = 1; head <= 4; head++) { go(`tab=lab&block=${k + 1}&head=${head}`); walk(`lab ${k + 1}, head ${head}`); } });
         for (const scale of ['model', 'none']) { go(`tab=lab&block=1&head=1&scale=${scale}`); walk(`lab, scale ${scale}`); }",
    );
    for name in ["Q", "K", "P", "S", "A", "Ã", "V", "m", "dP", "dS", "dA", "dÃ", "dO"] {
        assert!(labs.iter().any(|other| other == name), "{name} is never named: {labs:?}");
    }
    walk(
        "for (const [id, node] of microscope.record.nodes.entries()) if (node.op === 'layer_norm') { go(`tab=norm&norm=${id}`); walk(`norm #${id}`); }",
    );
    no_errors(&browser);
}

/// After a click on any map its arithmetic and some outlined map are on the screen.
#[test]
fn after_any_click_the_arithmetic_and_an_outlined_map_are_on_the_screen() {
    for screen in SCREENS {
        let Some(browser) = open(screen) else { return };
        let script = format!("{GO} let seed = 7; const random = (n) => (seed = (seed * 48271) % 2147483647) % n;
            const wrong = []; let clicks = 0;
            const onScreen = (box, low, high) => box.bottom > low + 4 && box.top < high - 4 && box.right > 4 && box.left < innerWidth - 4;
            const norm = microscope.record.nodes.findIndex((node) => node.op === 'layer_norm'), relu = microscope.record.nodes.findLastIndex((node) => node.op === 'relu'), root = microscope.record.root;
            for (const to of ['tab=lab&head=2', 'tab=lab&head=1&scale=none', `tab=norm&norm=${{norm}}`, ...[norm, relu, relu + 1, root - 1, root].map((id) => `tab=tape&node=${{id}}&phase=backward&step=1`)]) {{
              go(to);
              for (const {{ key, rows, cols, picks }} of microscope.maps()) {{
                if (!picks) continue;
                go(to);
                const canvas = document.querySelector(`canvas[data-key='${{key}}']`);
                canvas.scrollIntoView({{ block: 'center', inline: 'center' }});
                // As far as can be clicked: what stands in the window, and not under the dock.
                let hit = null;
                for (let k = 0; k < 60 && !hit; k++) {{
                  const r = random(rows), c = random(cols), {{ x, y }} = microscope.place(key, r, c);
                  if (document.elementFromPoint(x, y) === canvas) hit = {{ x, y }};
                }}
                if (!hit) {{ wrong.push(`${{to}}: ${{key}} cannot be clicked`); continue; }}
                canvas.dispatchEvent(new MouseEvent('click', {{ clientX: hit.x, clientY: hit.y, bubbles: true }}));
                clicks++;
                const dock = document.getElementById('dock').getBoundingClientRect(), phone = innerWidth < 1000;
                const cell = document.getElementById('cell').getBoundingClientRect();
                if (!onScreen(cell, 0, innerHeight) || !document.querySelector('#cell .arithmetic')) wrong.push(`${{to}}: ${{key}}: no arithmetic on the screen`);
                if (!microscope.outlined().some((key) => onScreen(document.querySelector(`canvas[data-key='${{key}}']`).getBoundingClientRect(), 0, phone ? dock.top : innerHeight))) wrong.push(`${{to}}: ${{key}}: no outlined map on the screen`);
              }}
            }}
            return {{ wrong, clicks }}");
        let found = browser.run(&script);
        assert_eq!(found["wrong"], json!([]), "at {screen:?}");
        assert!(found["clicks"].as_u64().unwrap() > 50, "{found}");
        no_errors(&browser);
    }
}

#[test]
fn an_address_opens_the_same_page_back_undoes_and_a_pasted_link_is_followed() {
    let Some(browser) = open(SCREENS[0]) else { return };
    let state = "const on = (s) => document.querySelector(s)?.dataset.name;
        return JSON.stringify([document.querySelector('[aria-selected=true]').id, document.documentElement.lang, document.getElementById('now').textContent, document.getElementById('banner').textContent,
            document.querySelector('#block')?.value, on('#lab [data-name^=head][aria-pressed=true]'), on('#lab [data-name^=scale][aria-pressed=true]'), on('#colours [aria-pressed=true]'), document.getElementById('cell').textContent, document.getElementById('view').textContent])";
    let address = || browser.run("return location.hash").as_str().unwrap().to_owned();
    // Step by step to a state that has everything, remembering each on the way.
    let steps = [
        "document.getElementById('tab-lab').click()",
        "document.querySelector('#lab [data-name=head-3]').click()",
        "const s = document.getElementById('block'); s.value = 2; s.dispatchEvent(new Event('change'))",
        "document.querySelector('#lab [data-name=scale-none]').click()",
        "document.querySelector('#colours [data-name=colour-root]').click()",
        "document.getElementById('language').click()",
        "microscope.pick('term1', 1, 1)",
        "document.getElementById('tab-bugs').click()",
        "const s = document.getElementById('bug'); s.value = 3; s.dispatchEvent(new Event('change'))",
        "document.querySelector('[data-name=to-backward]').click()",
        "document.getElementById('tab-lab').click()",
    ];
    let mut visited = vec![(address(), browser.run(state))];
    for step in steps {
        browser.run(step);
        let now = (address(), browser.run(state));
        assert_ne!(now, *visited.last().unwrap(), "{step}");
        visited.push(now);
    }
    for part in
        ["tab=", "node=", "head=3", "block=3", "bug=", "phase=backward", "step=", "scale=", "language=zh"]
    {
        assert!(visited.last().unwrap().0.contains(part), "{part} is not in {}", visited.last().unwrap().0);
    }
    let page = page_of(&browser);
    let mut back = visited.iter().rev();
    back.next();
    for (address_before, state_before) in back {
        browser.back();
        browser.until(&format!("return location.hash === {}", json!(address_before)));
        assert_eq!(&browser.run(state), state_before, "Back undoes, to {address_before}");
    }
    for (address, seen) in &visited {
        browser.go("about:blank");
        browser.go(&format!("{page}{address}"));
        assert_eq!(&browser.run(state), seen, "{address}, opened anew");
    }
    for (address, seen) in visited.iter().rev() {
        browser.run(&format!("location.hash = {}", json!(address)));
        browser.until(&format!("return decodeURI(location.hash) === decodeURI({})", json!(address)));
        browser.until(&format!("{} === {}", state, seen));
    }
    no_errors(&browser);
}

/// What the pass with a bug gives, by the tape itself.
struct Planted {
    gradients: BTreeMap<usize, Vec<f64>>,
    values: Vec<Vec<f64>>,
    /// The largest sum of a row of what each LayerNorm adds to its input, relative to the largest entry.
    norm_sums: BTreeMap<usize, f64>,
}

impl Planted {
    fn new(fault: Option<&'static Fault>) -> Self {
        let (specimen, _) = builtin();
        let tape = specimen.tape();
        if let Some(fault) = fault {
            tape.plant(fault);
        }
        let loss = specimen.loss(&tape);
        let nodes = tape.nodes();
        let values = nodes.iter().map(|node| tape.at(node.id).value().as_slice().to_vec()).collect();
        let (mut gradients, mut norm_sums) = (BTreeMap::new(), BTreeMap::new());
        for step in loss.steps() {
            let node = step.node.index();
            if step.op == "layer_norm" {
                let input = nodes[node].inputs[0];
                let dx = &step.contributions.iter().find(|(other, _)| *other == input).unwrap().1;
                let largest = dx.as_slice().iter().map(|x| x.abs()).fold(1e-300, f64::max);
                let sums = dx.as_slice().chunks(dx.shape().last()).map(|row| row.iter().sum::<f64>().abs());
                norm_sums.insert(node, sums.fold(0.0, f64::max) / largest);
            }
            gradients.insert(node, step.dy.as_slice().to_vec());
        }
        Self { gradients, values, norm_sums }
    }
}

#[test]
fn a_planted_bug_is_seen_in_every_view_that_states_what_it_breaks() {
    let Some(browser) = open(SCREENS[0]) else { return };
    let record = browser.run("return { blocks: microscope.record.blocks, bugs: microscope.bugs(), norms: microscope.record.nodes.map((n, id) => n.op === 'layer_norm' ? id : -1).filter((id) => id >= 0), heads: microscope.record.facts.heads, keys: microscope.record.blocks.map((b) => microscope.record.nodes[b.weights].shape.at(-1)) }");
    let bugs: Vec<&str> =
        record["bugs"].as_array().unwrap().iter().map(|bug| bug.as_str().unwrap()).collect();
    let right = Planted::new(None);
    let views = "const statements = () => Object.fromEntries([...document.querySelectorAll('[data-statement]')].map((s) => [s.id, s.dataset.ok]));
        const banner = () => !document.getElementById('banner').hidden && document.getElementById('banner').getBoundingClientRect().height > 10;
        const seen = { banner: true, lab: [], norm: [] };
        const look = (to) => { go(to + '&bug=' + encodeURIComponent(bug)); seen.banner &&= banner() === (bug !== ''); return statements(); };
        for (let b = 1; b <= blocks; b++) for (const h of [1, heads]) seen.lab.push(look(`tab=lab&block=${b}&head=${h}`));
        for (const norm of norms) seen.norm.push(look(`tab=norm&norm=${norm}`));
        seen.flow = look('tab=flow');
        seen.gradients = microscope.record.nodes.map((node, id) => { const g = node.gnorm === null || node.op === 'param' ? null : microscope.gradient(id); return g && Array.from(g); });
        seen.loss = microscope.value(microscope.record.root)[0];
        return seen;";
    let blocks = record["blocks"].as_array().unwrap();
    let heads = record["heads"].as_u64().unwrap() as usize;
    let mut broken_somewhere = 0;
    for bug in std::iter::once("").chain(bugs.iter().copied()) {
        let fault = bug.split_once(": ").map(|(op, name)| faults::named(op, name).unwrap());
        let wrong = Planted::new(fault);
        let seen = browser.run(&format!(
            "{GO} const bug = {}, blocks = {}, heads = {heads}, norms = {}; {views}",
            json!(bug),
            blocks.len(),
            record["norms"]
        ));
        assert!(seen["banner"] == true, "{bug}: a banner in every view");
        let loss = wrong.values.last().unwrap()[0];
        assert!((seen["loss"].as_f64().unwrap() - loss).abs() < 1e-6 * loss, "{bug}: the loss");
        // Every gradient that the page shows with the bug is that of the tape with the bug.
        for (node, shown) in seen["gradients"].as_array().unwrap().iter().enumerate() {
            let (Some(shown), Some(tape)) = (shown.as_array(), wrong.gradients.get(&node)) else { continue };
            let largest = tape.iter().chain(&right.gradients[&node]).map(|x| x.abs()).fold(1e-300, f64::max);
            for (shown, tape) in shown.iter().zip(tape) {
                let off = (shown.as_f64().unwrap_or(f64::NAN) - tape).abs();
                assert!(off <= 3e-6 * largest, "{bug}: gradient of #{node}: {shown} is not {tape}");
            }
        }
        let mut broken = 0;
        let mut told = |what: &str, shown: &Value, size: f64| {
            // Sizes are relative; what lies between is neither broken nor sure to hold in seven digits.
            let expected = match size {
                size if size < 1e-9 => "true",
                size if size > 1e-5 => "false",
                _ => return,
            };
            broken += usize::from(expected == "false");
            assert_eq!(shown, expected, "{bug}: {what}: {size}");
        };
        for (b, block) in blocks.iter().enumerate() {
            let of = |part: &str| block[part].as_u64().unwrap() as usize;
            let (weights, scores) = (&wrong.values[of("weights")], &wrong.gradients[&of("scores")]);
            let d_weights = &wrong.gradients[&of("weights")];
            let keys = record["keys"][b].as_u64().unwrap() as usize;
            let head_size = weights.len() / heads;
            for (k, h) in [0, heads - 1].into_iter().enumerate() {
                let seen = &seen["lab"][b * 2 + k];
                let part = h * head_size..(h + 1) * head_size;
                let (a, ds, da) = (&weights[part.clone()], &scores[part.clone()], &d_weights[part]);
                let largest = ds.iter().map(|x| x.abs()).fold(1e-12, f64::max);
                let sums = ds.chunks(keys).map(|row| row.iter().sum::<f64>().abs()).fold(0.0, f64::max);
                told("rows of dS sum to zero", &seen["invariant"], sums / largest);
                let hidden = |i: usize| right.values[of("weights")][h * head_size + i] == 0.0;
                let leak = (0..head_size).filter(|&i| hidden(i) && (a[i] != 0.0 || ds[i] != 0.0)).count();
                told("masked cells are zero", &seen["zeros"], leak as f64);
                let apart = a.chunks(keys).zip(da.chunks(keys)).zip(ds.chunks(keys)).map(|((a, da), ds)| {
                    let inner: f64 = a.iter().zip(da).map(|(a, da)| a * da).sum();
                    let off = (0..keys).map(|j| (a[j] * (da[j] - inner) - ds[j]).abs());
                    off.fold(0.0, f64::max)
                });
                told("two terms give dS", &seen["two-terms-agree"], apart.fold(0.0, f64::max) / largest);
            }
        }
        for (k, norm) in record["norms"].as_array().unwrap().iter().enumerate() {
            let sum = wrong.norm_sums[&(norm.as_u64().unwrap() as usize)];
            told(&format!("Σdx of #{norm}"), &seen["norm"][k]["norm-sum"], sum);
        }
        if bug.is_empty() {
            assert_eq!(broken, 0);
            let all =
                ["lab", "norm"].iter().flat_map(|view| seen[view].as_array().unwrap()).chain([&seen["flow"]]);
            for statements in all {
                assert!(statements.as_object().unwrap().values().all(|ok| ok == "true"), "{statements}");
            }
        }
        broken_somewhere += usize::from(broken > 0);
    }
    assert!(broken_somewhere >= 6, "{broken_somewhere} bugs break what the lab and the LayerNorm card state");
    no_errors(&browser);
}
