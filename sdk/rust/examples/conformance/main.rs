//! The services of the conformance folder in Rust: those of the group `languages`, which every language has. Besides, services
//! that misbehave as the SDK's own tests need it.

mod answers;
mod inputs;
mod misbehaving;
mod platform;

use std::process::ExitCode;

use tenon_sdk::{Service, Worker};

fn main() -> ExitCode {
    Worker::new()
        .service("conformance.languages.typed_input", inputs::typed_input)
        .service("conformance.languages.parameters", inputs::parameters)
        .service("conformance.languages.request_facts", inputs::request_facts)
        .service("conformance.languages.raw_body", answers::raw_body)
        .service("conformance.languages.text_body", answers::text_body)
        .service("conformance.languages.status_and_headers", answers::status_and_headers)
        .service("conformance.languages.errors", answers::errors)
        .service(
            "conformance.languages.methods",
            Service::by_method().get(answers::get).delete(answers::delete),
        )
        .service("conformance.languages.invoke", platform::invoke)
        .service("conformance.languages.invoke_async", platform::invoke_async)
        .service("conformance.languages.fan_out", platform::fan_out)
        .service("conformance.languages.told", platform::told)
        .service("conformance.languages.cache", platform::cache)
        .service("conformance.languages.locks", platform::locks)
        .service("conformance.languages.crypto", platform::crypto)
        .service("conformance.languages.configuration", platform::configuration)
        .service("conformance.languages.schedule", platform::schedule)
        .service("conformance.languages.outgoing_rest", platform::outgoing_rest)
        .service("test.block", misbehaving::block)
        .service("test.wait", misbehaving::wait)
        .service("test.child", misbehaving::child)
        .service("test.version", Service::new(misbehaving::version).idempotent())
        .run()
}
