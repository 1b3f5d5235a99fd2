//! A headless Chromium, driven by its DevTools protocol over a pipe: <https://chromedevtools.github.io/devtools-protocol/>.

use std::{
    io::{BufRead as _, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::skip;

/// Names that Chromium goes by.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
/// Longest wait for an answer; a machine may have much else to do.
const PATIENCE: Duration = Duration::from_secs(120);

/// A browser with one page.
#[derive(Debug)]
pub struct Browser {
    process: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    session: Option<String>,
    last: u64,
    /// What the page did since it was opened: [`Self::complaints`] reads it.
    events: Vec<Value>,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts one; where there is none, says so on standard error, and how to have it.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn start() -> Result<Option<Self>> {
        let works = |name: &str| Command::new(name).arg("--version").output().is_ok_and(|out| out.status.success());
        let Some(name) = NAMES.into_iter().find(|name| works(name)) else {
            skip("needs a browser: apt-get install chromium");
            return Ok(None);
        };
        let profile = tempfile::tempdir()?;
        // The pipe's ends are descriptors 3 and 4, which a shell can give without unsafe code.
        let mut process = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<&0 4>&1 0</dev/null 1>/dev/null 2>/dev/null", "sh", name])
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
            .args(["--remote-debugging-pipe", "about:blank"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let commands = process.stdin.take().context("no pipe to the browser")?;
        let mut output = BufReader::new(process.stdout.take().context("no pipe from the browser")?);
        let (sender, messages) = channel();
        thread::spawn(move || {
            let mut message = Vec::new();
            while output.read_until(0, &mut message).is_ok_and(|length| length > 0) {
                let parsed = serde_json::from_slice(message.strip_suffix(&[0]).unwrap_or(&message));
                if !parsed.is_ok_and(|message| sender.send(message).is_ok()) {
                    return;
                }
                message.clear();
            }
        });
        let mut browser =
            Self { process, commands, messages, session: None, last: 0, events: Vec::new(), _profile: profile };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }))?;
        let attached =
            browser.call("Target.attachToTarget", json!({ "targetId": target["targetId"], "flatten": true }))?;
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}))?;
        }
        Ok(Some(browser))
    }

    /// Calls a method of the protocol.
    ///
    /// # Errors
    /// If the browser refuses, or does not answer.
    pub fn call(&mut self, method: &str, parameters: Value) -> Result<Value> {
        self.last += 1;
        let id = self.last;
        let mut command = json!({ "id": id, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            command["sessionId"] = json!(session);
        }
        self.commands.write_all(format!("{command}\0").as_bytes()).context("the browser is gone")?;
        self.commands.flush()?;
        loop {
            let message = self.next()?;
            if message["id"] == id {
                ensure!(message["error"].is_null(), "{method}: {}", message["error"]);
                return Ok(message["result"].clone());
            }
            self.events.push(message);
        }
    }

    fn next(&mut self) -> Result<Value> {
        self.messages.recv_timeout(PATIENCE).context("the browser does not answer")
    }

    /// Opens a file in a window of this width, in a light or a dark theme (`light`, `dark`).
    ///
    /// # Errors
    /// If it cannot be shown.
    pub fn open(&mut self, file: &Path, width: u32, theme: &str) -> Result<()> {
        let size = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size)?;
        let preference = json!({ "features": [{ "name": "prefers-color-scheme", "value": theme }] });
        self.call("Emulation.setEmulatedMedia", preference)?;
        self.events.clear();
        let shown = self.call("Page.navigate", json!({ "url": format!("file://{}", file.display()) }))?;
        ensure!(shown["errorText"].is_null(), "{}: {shown}", file.display());
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = self.next()?;
            self.events.push(event);
        }
        Ok(())
    }

    /// The value of a JavaScript expression.
    ///
    /// # Errors
    /// If it throws.
    pub fn evaluate(&mut self, expression: &str) -> Result<Value> {
        let parameters = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let result = self.call("Runtime.evaluate", parameters)?;
        if !result["exceptionDetails"].is_null() {
            bail!("{expression}: {}", result["exceptionDetails"]);
        }
        Ok(result["result"]["value"].clone())
    }

    /// Scrolls the first element that a selector matches into view and moves the mouse over its middle, and clicks there if `click`
    /// says so.
    ///
    /// # Errors
    /// If there is none.
    pub fn point(&mut self, selector: &str, click: Click) -> Result<()> {
        let middle = self.evaluate(&format!(
            "(() => {{ const e = document.querySelector({}); e.scrollIntoView({{ block: 'center' }});
                const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; }})()",
            json!(selector)
        ))?;
        // A scroll hides what was shown before; let it happen first.
        self.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(0))))")?;
        let kinds: &[&str] = match click {
            Click::No => &["mouseMoved"],
            Click::Yes => &["mouseMoved", "mousePressed", "mouseReleased"],
        };
        for kind in kinds {
            let event = json!({ "type": kind, "x": middle[0], "y": middle[1], "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", event)?;
        }
        Ok(())
    }

    /// Presses a key, by its name in JavaScript.
    ///
    /// # Errors
    /// If the browser does not answer.
    pub fn press(&mut self, key: &str) -> Result<()> {
        for kind in ["keyDown", "keyUp"] {
            self.call("Input.dispatchKeyEvent", json!({ "type": kind, "key": key, "code": key }))?;
        }
        Ok(())
    }

    /// Errors and warnings since the page was opened, and what it asked for beside itself.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let complaint = |event: &Value| {
            let parameters = &event["params"];
            match event["method"].as_str().unwrap_or_default() {
                "Runtime.exceptionThrown" | "Log.entryAdded" | "Runtime.consoleAPICalled" => {
                    Some(parameters.to_string())
                }
                "Network.requestWillBeSent" if parameters["type"] != "Document" => {
                    let address = parameters["request"]["url"].as_str().unwrap_or_default();
                    (!address.starts_with("data:")).then(|| address.to_owned())
                }
                _ => None,
            }
        };
        self.events.iter().filter_map(complaint).collect()
    }
}

/// Whether the mouse is pressed where it points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Click {
    /// It is.
    Yes,
    /// It is not.
    No,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
