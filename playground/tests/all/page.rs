//! The page's files belong together, and come from nowhere else.

use std::collections::BTreeSet;

use playground::page::FILES;

fn text(path: &str) -> &'static str {
    FILES.iter().find(|file| file.path == path).map_or("", |file| file.text)
}

fn scripts() -> impl Iterator<Item = (&'static str, &'static str)> {
    FILES
        .iter()
        .filter(|file| file.path.ends_with(".js"))
        .map(|file| (file.path, file.text))
}

/// What stands between `start` and the next `end`, wherever that is.
fn between<'t>(text: &'t str, start: &'t str, end: &'t str) -> impl Iterator<Item = &'t str> {
    text.split(start).skip(1).filter_map(move |rest| rest.split(end).next())
}

#[test]
fn nothing_is_fetched_from_elsewhere() {
    for file in FILES.iter().filter(|file| !file.path.starts_with("/handouts")) {
        for address in ["http://", "https://", "url(//", "src=\"//"] {
            let foreign = between(file.text, address, "\"").filter(|rest| !rest.starts_with("www.w3.org/2000/svg"));
            assert_eq!(foreign.count(), 0, "{} names an address with {address}", file.path);
        }
    }
}

#[test]
fn what_the_page_names_is_there() {
    let page = text("/");
    let named = between(page, "href=\"", "\"").chain(between(page, "src=\"", "\""));
    for name in named.filter(|name| !name.starts_with('#')) {
        assert!(
            FILES.iter().any(|file| file.path == format!("/{name}")),
            "the page names {name}"
        );
    }
    for (path, script) in scripts() {
        for name in between(script, "from \"./", "\"") {
            assert!(
                FILES.iter().any(|file| file.path == format!("/{name}")),
                "{path} names {name}"
            );
        }
    }
}

#[test]
fn scripts_find_what_they_look_for() {
    let ids: BTreeSet<&str> = between(text("/"), " id=\"", "\"").collect();
    for (path, script) in scripts() {
        let asked = between(script, "field(\"", "\"").chain(between(script, "getElementById(\"", "\""));
        for id in asked {
            assert!(ids.contains(id), "{path} looks for #{id}");
        }
    }
}

/// Who cannot see the page is told what each control is.
#[test]
fn every_control_has_a_name() {
    let page = text("/");
    for tag in ["<input", "<select"] {
        for (place, _) in page.match_indices(tag) {
            let before = &page[..place];
            let control = page[place..].split('>').next().unwrap_or_default();
            let is_inside_label = before.rfind("<label") > before.rfind("</label>");
            let id = between(control, "id=\"", "\"").next().unwrap_or("none");
            let is_named = is_inside_label || page.contains(&format!("for=\"{id}\"")) || control.contains("aria-label");
            assert!(is_named, "{control}");
        }
    }
}
