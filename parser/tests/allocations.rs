//! Parsing and reading what a proxy needs allocates nothing.

#![expect(unsafe_code, reason = "a counting allocator is an allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use sip::{ContactValue, Limits, Message, Name, Rewrite};

mod samples;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: all work is handed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(act: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    act();
    ALLOCATIONS.get() - before
}

/// The facts a proxy or registrar decides by.
fn read(message: &Message<'_>) {
    let facts = message.validate().expect("good");
    let _ = (facts.from.uri(), facts.to.uri(), facts.via.received_ip());
    for contact in message.contacts() {
        if let Ok(ContactValue::Contact(contact)) = contact {
            let _ = contact.addr.uri().map(|uri| uri.user_unescaped().len());
        }
    }
    let _ = (message.expires(), message.event(), message.routes().next());
    let _ = message.credentials(Name::Authorization).next();
    let _ = message.option_tags(Name::Supported).has("outbound");
}

#[test]
fn nothing_is_allocated_up_to_64_header_lines() {
    for (name, bytes) in samples::messages() {
        let count = allocations(|| {
            let message = Message::parse(&bytes, &Limits::default()).expect("good");
            read(&message);
        });

        assert_eq!(count, 0, "{name}");
    }
}

#[test]
fn a_forwarding_allocates_nothing_but_its_output() {
    for (name, bytes) in samples::messages() {
        let mut out = Vec::with_capacity(65_536);
        let count = allocations(|| {
            let message = Message::parse(&bytes, &Limits::default()).expect("good");
            let mut rewrite = Rewrite::new(&message);
            rewrite.set_request_uri(b"sip:1002@192.0.2.9:5060;transport=udp");
            rewrite.set_received(&message.top_via().expect("good"), ([192, 0, 2, 1], 5060).into());
            rewrite.prepend(Name::RecordRoute, b"<sip:192.0.2.10;lr;hd=q8Zb1u0tYk3f>");
            rewrite.prepend(Name::Via, b"SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKAAAB3kQz0mBw9s7tX2f4");
            rewrite.set_decimal(Name::MaxForwards, 69);
            rewrite.remove_all(Name::ProxyAuthorization);
            rewrite.write(&mut out);
        });

        assert_eq!(count, 0, "{name}");
        assert!(Message::parse(&out, &Limits::default()).is_ok(), "{name}");
    }
}
