//! Hotdesk: a SIP edge proxy that does hot desking for shared desk phones.
