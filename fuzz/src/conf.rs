//! driver.conf(5): what is read, written again, reads the same; and it takes no more room than its file.

use ddi_system::conf::{self, Conf, ConfNode};
use ddi_system::props::{Kind, Property};

/// Most bytes of an input.
pub const MOST: usize = 4096;

/// # Panics
/// An assertion fails.
pub fn target(data: &[u8]) {
    let conf = conf::parse(data);
    let lines = 1 + data.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count();
    assert!(
        conf.warnings.iter().all(|warning| (1..=lines).contains(&warning.line)),
        "a line that is not there"
    );
    assert!(conf.warnings.is_sorted_by_key(|warning| warning.line));
    assert!(conf.nodes.is_sorted_by_key(|node| node.line));
    assert!(conf.nodes.iter().all(|node| (1..=lines).contains(&node.line)));
    let properties = || conf.nodes.iter().flat_map(|node| &node.properties).chain(&conf.global);
    let room: usize = properties().map(|property| property.bytes.len()).sum();
    assert!(room <= 4 * data.len(), "{room} bytes of properties from {} of text", data.len());

    // Names that are no text are shown, not kept; and an entry that broke off at its class has that, but not the property of it.
    let kept = |text: &str| !text.contains('\u{fffd}');
    let node = |node: &ConfNode| {
        let mut names = [Some(&node.name), node.parent.as_ref(), node.class.as_ref()].into_iter().flatten();
        let mut classes =
            node.properties.iter().filter(|property| property.name.eq_ignore_ascii_case("class"));
        names.all(|text| kept(text)) && node.class.is_some() == classes.next().is_some()
    };
    if !properties().all(|property| kept(&property.name)) || !conf.nodes.iter().all(node) {
        return;
    }
    let text = written(&conf);
    let mut again = conf::parse(&text);
    assert!(again.warnings.is_empty(), "{:?} of {}", again.warnings, String::from_utf8_lossy(&text));
    for (node, was) in again.nodes.iter_mut().zip(&conf.nodes) {
        node.line = was.line;
    }
    assert_eq!((again.nodes, again.global), (conf.nodes, conf.global), "{}", String::from_utf8_lossy(&text));
}

/// Writes what was read.
fn written(conf: &Conf) -> Vec<u8> {
    let mut text = Vec::new();
    for node in &conf.nodes {
        text.extend(b"name=");
        quoted(&mut text, node.name.as_bytes());
        if let Some(parent) = &node.parent {
            text.extend(b" parent=");
            quoted(&mut text, parent.as_bytes());
        }
        node.properties.iter().for_each(|property| one(&mut text, property));
        text.extend(b";\n");
    }
    for property in &conf.global {
        one(&mut text, property);
        text.extend(b";\n");
    }
    text
}

fn one(text: &mut Vec<u8>, property: &Property) {
    text.push(b' ');
    property.name.bytes().for_each(|byte| text.extend([b'\\', byte]));
    text.push(b'=');
    if property.kind == Kind::Int {
        let numbers: Vec<String> = property.as_ints().expect("integers").iter().map(i32::to_string).collect();
        return text.extend(numbers.join(",").into_bytes());
    }
    for (number, value) in property.as_strings().expect("strings").into_iter().enumerate() {
        text.extend(if number == 0 { &b""[..] } else { b"," });
        quoted(text, value);
    }
}

fn quoted(text: &mut Vec<u8>, value: &[u8]) {
    text.push(b'"');
    for byte in value {
        // A digit behind a backslash is a number's.
        text.extend(if byte.is_ascii_digit() { vec![*byte] } else { vec![b'\\', *byte] });
    }
    text.push(b'"');
}
