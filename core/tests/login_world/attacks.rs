//! Other pages, scanners and mixed-up providers at the listener.

use exchange_core::http::Method;
use exchange_core::login::Notice;

use crate::world::{World, answer, get, request, settings};

#[test]
fn nothing_but_the_right_answer_ends_the_login() {
    let clicks: Vec<(u64, crate::world::Click)> = vec![
        (1, Box::new(|_| get("/favicon.ico"))),
        (1, Box::new(|form| request(Method::Head, &answer(form), &[]))),
        (1, Box::new(|form| request(Method::Options, &answer(form), &[]))),
        (1, Box::new(|form| request(Method::Get, &answer(form), &[("sec-purpose", "prefetch")]))),
        (
            1,
            Box::new(|form| {
                let mut head = get(&answer(form));
                head.headers = Default::default();
                head.headers.push("host", b"evil.test:8900");
                head
            }),
        ),
        (1, Box::new(|_| get("/callback?code=evil&state=guess"))),
        (1, Box::new(|form| get(&format!("{}&code=evil", answer(form))))),
        (1, Box::new(|form| get(&format!("{}&error=x", answer(form))))),
        (1, Box::new(|_| get("/callback?error=access_denied"))),
        (2, Box::new(|form| get(&answer(form)))),
    ];
    let mut world = World { clicks, ..World::default() };
    world.run(settings()).unwrap();
    let statuses: Vec<u16> = world.pages.iter().map(|(_, status, _)| *status).collect();
    assert_eq!(statuses, [404, 204, 204, 503, 400, 400, 400, 400, 400, 200]);
    assert_eq!(world.form(0, "code"), Some("code-1"));
    assert_eq!(world.count("fetch token"), 1);
}

#[test]
fn unproven_errors_are_shown_three_times_at_most() {
    let mut world = World::default();
    world.clicks = (0..50)
        .map(|_| {
            let click: crate::world::Click = Box::new(|_| get("/callback?error=x%1B%5B2J"));
            (1, click)
        })
        .collect();
    world.clicks.push((2, Box::new(|form| get(&answer(form)))));
    world.run(settings()).unwrap();
    let shown = world.notices.iter().filter(|n| matches!(n, Notice::UnprovenError(_))).count();
    assert_eq!(shown, 3);
}

#[test]
fn a_second_answer_changes_nothing() {
    let mut world = World::default();
    let first: crate::world::Click = Box::new(|form| get(&answer(form)));
    let second: crate::world::Click =
        Box::new(|form| get(&answer(form).replace("code-1", "code-2")));
    world.clicks = vec![(1, first), (1, second)];
    world.run(settings()).unwrap();
    assert_eq!(world.pages.iter().map(|p| p.1).collect::<Vec<_>>(), [409, 200]);
    assert_eq!(world.form(0, "code"), Some("code-1"));
    assert_eq!(world.count("fetch token"), 1);
}

#[test]
fn mixed_up_providers_end_the_login() {
    let from = |iss: &'static str| -> crate::world::Click {
        Box::new(move |form| get(&format!("{}{iss}", answer(form))))
    };
    let run = |iss: &'static str, announced: bool| {
        let mut world = World { clicks: vec![(1, from(iss))], ..World::default() };
        world.metadata["authorization_response_iss_parameter_supported"] = announced.into();
        world.run(settings()).map(|_| ()).map_err(|error| error.code())
    };
    let ours = "&iss=https%3A%2F%2Fidp.example%2Frealms%2Ftalos";
    assert_eq!(run(ours, true), Ok(()));
    assert_eq!(run("", false), Ok(()));
    assert_eq!(run("", true), Err("login.iss_missing"));
    assert_eq!(run("&iss=https%3A%2F%2Fevil.example", false), Err("login.iss_mismatch"));
}
