//! A headless Chromium, told what to do by its DevTools protocol: JSON over two pipes, so that nothing but `serde_json` is needed, and no port is open.

use std::cell::{Cell, RefCell};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

/// Programs that are looked for.
const PROGRAMS: [&str; 5] =
    ["chromium-headless-shell", "chrome-headless-shell", "chromium", "chromium-browser", "google-chrome"];
/// Time in which it must answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A browser with one page; it ends when this is dropped.
pub struct Browser {
    child: Child,
    to: RefCell<ChildStdin>,
    from: Receiver<Value>,
    number: Cell<u64>,
    session: Option<String>,
    /// Events of the protocol: requests, exceptions, the console.
    events: RefCell<Vec<Value>>,
    /// The browser's files, removed at the end.
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts a browser; `None`, after a message, if this machine has none.
    pub fn start() -> Option<Browser> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let dirs: Vec<_> = std::env::split_paths(&path).collect();
        let mut files = PROGRAMS.iter().flat_map(|name| dirs.iter().map(move |dir| dir.join(name)));
        let Some(program) = files.find(|file| file.is_file()) else {
            println!("skipped: no Chromium: apt-get install chromium-headless-shell");
            return None;
        };
        let profile = tempfile::tempdir().unwrap();
        // The protocol's descriptors are 3 and 4. Its sandbox is for pages of others, and does not work for root.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >&2"])
            .arg(program)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--remote-debugging-pipe",
                "--no-first-run",
            ])
            .args(["--hide-scrollbars", "--font-render-hinting=none", "--disable-dev-shm-usage"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let (tell, told) = channel();
        std::thread::spawn(move || {
            for message in from.split(0).map_while(Result::ok) {
                if tell.send(serde_json::from_slice(&message).unwrap()).is_err() {
                    break;
                }
            }
        });
        let mut browser = Browser {
            child,
            to: RefCell::new(to),
            from: told,
            number: Cell::new(0),
            session: None,
            events: RefCell::default(),
            _profile: profile,
        };
        let page = browser.ask("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": page["targetId"], "flatten": true });
        browser.session =
            browser.ask("Target.attachToTarget", attach)["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Network", "Performance"] {
            browser.ask(&format!("{domain}.enable"), json!({}));
        }
        browser.size(1280, 900);
        Some(browser)
    }

    /// Makes a request of the protocol and returns its result.
    pub fn ask(&self, method: &str, parameters: Value) -> Value {
        let number = self.number.get() + 1;
        self.number.set(number);
        let mut request = json!({ "id": number, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            request["sessionId"] = session.clone().into();
        }
        let mut to = self.to.borrow_mut();
        to.write_all(request.to_string().as_bytes()).unwrap();
        to.write_all(&[0]).unwrap();
        to.flush().unwrap();
        loop {
            let reply = self.from.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no answer to {method}"));
            if reply["id"] == number {
                assert!(reply["error"].is_null(), "{method}: {}", reply["error"]);
                return reply["result"].clone();
            }
            if reply["id"].is_null() {
                self.events.borrow_mut().push(reply);
            }
        }
    }

    /// Opens a file, and waits until its timeline is ready.
    pub fn open(&self, file: &Path) {
        let url = format!("file://{}", file.display());
        self.ask("Page.navigate", json!({ "url": url }));
        for _ in 0..600 {
            if self.value("document.readyState === 'complete' && !!globalThis.timeline") == true {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        self.value("timeline.ready.then(() => true)");
    }

    /// Returns the value of a JavaScript expression; waits for one that is a promise.
    pub fn value(&self, expression: &str) -> Value {
        let what = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let result = self.ask("Runtime.evaluate", what);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {}", result["exceptionDetails"]);
        result["result"]["value"].clone()
    }

    pub fn number(&self, expression: &str) -> f64 {
        self.value(expression).as_f64().unwrap_or_else(|| panic!("{expression} is no number"))
    }

    pub fn text(&self, expression: &str) -> String {
        self.value(expression).as_str().unwrap_or_else(|| panic!("{expression} is no text")).to_owned()
    }

    /// Presses a key: its name as JavaScript has it.
    pub fn key(&self, key: &str) {
        let text = if key.len() == 1 { key } else { "" };
        let code = match key {
            "Tab" => 9,
            "Enter" => 13,
            _ => 0,
        };
        let text = if key == "Enter" { "\r" } else { text };
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { text } else { "" };
            self.ask(
                "Input.dispatchKeyEvent",
                json!({ "type": kind, "key": key, "text": text, "windowsVirtualKeyCode": code }),
            );
        }
    }

    fn mouse(&self, kind: &str, [x, y]: [f64; 2], more: Value) {
        let mut parameters = json!({ "type": kind, "x": x, "y": y });
        parameters.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.ask("Input.dispatchMouseEvent", parameters);
    }

    /// Moves the mouse.
    pub fn point(&self, at: [f64; 2]) {
        self.mouse("mouseMoved", at, json!({}));
    }

    /// Clicks.
    pub fn click(&self, at: [f64; 2]) {
        self.drag(at, at, 0);
    }

    /// Drags; `modifiers`: 8 is Shift.
    pub fn drag(&self, from: [f64; 2], to: [f64; 2], modifiers: u32) {
        let with = json!({ "button": "left", "buttons": 1, "clickCount": 1, "modifiers": modifiers });
        self.point(from);
        self.mouse("mousePressed", from, with.clone());
        if from != to {
            self.mouse("mouseMoved", to, with.clone());
        }
        self.mouse("mouseReleased", to, with);
    }

    /// Turns the wheel; `modifiers`: 2 is Ctrl, 8 is Shift.
    pub fn wheel(&self, at: [f64; 2], by: f64, modifiers: u32) {
        self.mouse("mouseWheel", at, json!({ "deltaX": 0, "deltaY": by, "modifiers": modifiers }));
    }

    /// Waits until the page is laid out and drawn.
    pub fn drawn(&self) {
        self.value(
            "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))",
        );
    }

    /// Sets the size of the window.
    pub fn size(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.ask("Emulation.setDeviceMetricsOverride", size);
        self.drawn();
    }

    /// Sets the colour scheme: light or dark.
    pub fn scheme(&self, scheme: &str) {
        let feature = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.ask("Emulation.setEmulatedMedia", json!({ "features": feature }));
        self.drawn();
    }

    /// Writes a picture of the window to `target/tmp/pictures/NAME.png`, for people to look at.
    pub fn picture(&self, name: &str) {
        self.drawn();
        let picture = self.ask("Page.captureScreenshot", json!({ "format": "png" }));
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pictures");
        std::fs::create_dir_all(&dir).unwrap();
        let bytes = decoded(picture["data"].as_str().unwrap());
        assert!(bytes.starts_with(b"\x89PNG"));
        std::fs::write(dir.join(name).with_extension("png"), bytes).unwrap();
    }

    /// Returns what a page has requested beside itself, its exceptions, and what it has written to the console.
    pub fn complaints(&self) -> Vec<String> {
        let of = |event: &Value| match event["method"].as_str()? {
            "Network.requestWillBeSent" if event["params"]["type"] != "Document" => {
                let url = &event["params"]["request"]["url"];
                url.as_str().filter(|url| !url.starts_with("blob:")).map(|url| format!("requests {url}"))
            }
            "Runtime.exceptionThrown" => Some(event["params"]["exceptionDetails"].to_string()),
            "Runtime.consoleAPICalled" => Some(event["params"]["args"].to_string()),
            _ => None,
        };
        self.events.borrow().iter().filter_map(of).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Decodes base64.
fn decoded(text: &str) -> Vec<u8> {
    let digit = |letter: u8| match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let letters: Vec<u8> = text.bytes().filter(|letter| *letter != b'=').collect();
    let four = |four: &[u8]| {
        let all = four.iter().fold(0u32, |all, letter| all << 6 | u32::from(digit(*letter)))
            << (6 * (4 - four.len()));
        all.to_be_bytes()[1..four.len()].to_vec()
    };
    letters.chunks(4).flat_map(four).collect()
}
