//! A browser, driven over WebDriver (W3C): as much of the protocol as the test needs.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A headless Chromium with a fresh profile.
pub(super) struct Browser {
    driver: Child,
    agent: ureq::Agent,
    session: String,
    folder: TempDir,
}

/// Where a program is, if it is installed.
fn installed(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|file| file.is_file())
}

impl Browser {
    /// Starts one; `None` where Chromium or its driver is not installed.
    pub(super) fn start(width: u32, height: u32) -> Option<Self> {
        let driver = installed(&["chromedriver"])?;
        let chromium = installed(&["chromium", "chromium-browser", "google-chrome"])?;
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let driver = Command::new(driver)
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(180)))
            .build()
            .new_agent();
        let profile = tempfile::tempdir().unwrap();
        let base = format!("http://127.0.0.1:{port}");
        let mut browser = Self { driver, agent, session: base.clone(), folder: profile };
        let deadline = Instant::now() + Duration::from_secs(60);
        while browser.agent.get(format!("{base}/status")).call().is_err() {
            assert!(Instant::now() < deadline, "chromedriver does not answer");
            std::thread::yield_now();
        }
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            &format!("--window-size={width},{height}"),
            &format!("--user-data-dir={}", browser.folder.path().display()),
        ];
        let mut options = json!({ "args": arguments, "binary": chromium });
        // A window is never narrower than 500; a phone is.
        if width < 500 {
            let metrics = json!({ "width": width, "height": height, "pixelRatio": 2, "mobile": true });
            options["mobileEmulation"] = json!({ "deviceMetrics": metrics });
        }
        let answer = browser.send(
            "/session",
            &json!({ "capabilities": { "alwaysMatch": {
                "browserName": "chrome",
                "goog:chromeOptions": options,
                "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
            } } }),
        );
        browser.session = format!("{base}/session/{}", answer["sessionId"].as_str().unwrap());
        browser.send("/timeouts", &json!({ "script": 170_000 }));
        if width >= 500 {
            // The page's own size, without what surrounds it.
            let params = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
            let command = json!({ "cmd": "Emulation.setDeviceMetricsOverride", "params": params });
            browser.send("/goog/cdp/execute", &command);
        }
        Some(browser)
    }

    fn send(&self, path: &str, body: &Value) -> Value {
        let url = format!("{}{path}", self.session);
        let request = self.agent.post(&url).header("Content-Type", "application/json");
        let text = request.send(body.to_string()).unwrap().body_mut().read_to_string().unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert!(answer["value"]["error"].is_null(), "{path}: {text}");
        answer["value"].clone()
    }

    pub(super) fn go(&self, url: &str) {
        self.send("/url", &json!({ "url": url }));
    }

    /// A folder that lasts as long as the browser.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Goes back in the history.
    pub(super) fn back(&self) {
        self.send("/back", &json!({}));
    }

    /// Waits until a script in the page gives `true`: for what the browser does when the script has ended.
    pub(super) fn until(&self, script: &str) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.run(script) != true {
            assert!(Instant::now() < deadline, "never true: {script}");
            std::thread::yield_now();
        }
    }

    /// Runs a script in the page and gives what it returns.
    pub(super) fn run(&self, script: &str) -> Value {
        self.send("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Clicks what a CSS selector finds, as a person would: where it is covered or not there, that is an error.
    pub(super) fn click(&self, selector: &str) {
        let found = self.send("/element", &json!({ "using": "css selector", "value": selector }));
        let id = found.as_object().unwrap().values().next().unwrap().as_str().unwrap();
        self.send(&format!("/element/{id}/click"), &json!({}));
    }

    /// Types keys.
    pub(super) fn press(&self, keys: &[&str]) {
        let presses = keys.iter().flat_map(|key| {
            [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })]
        });
        let actions: Vec<Value> = presses.collect();
        self.send("/actions", &json!({ "actions": [{ "type": "key", "id": "keys", "actions": actions }] }));
    }

    /// What stands in the browser's log of this kind: `browser`, `performance`.
    pub(super) fn log(&self, kind: &str) -> Vec<Value> {
        let log = self.send("/se/log", &json!({ "type": kind }));
        log.as_array().unwrap().clone()
    }

    /// A picture of the page, where one is wanted.
    pub(super) fn picture(&self, folder: &Path, name: &str) {
        use base64::Engine;
        let command = json!({ "cmd": "Page.captureScreenshot", "params": { "captureBeyondViewport": true } });
        let shot = self.send("/goog/cdp/execute", &command);
        let bytes = base64::engine::general_purpose::STANDARD.decode(shot["data"].as_str().unwrap());
        std::fs::write(folder.join(format!("{name}.png")), bytes.unwrap()).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.agent.delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
