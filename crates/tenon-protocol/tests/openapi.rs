//! The committed OpenAPI document, from which the dashboard's client is generated, is the one that the endpoints describe.

#[test]
fn the_committed_openapi_document_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schemas/control-openapi.json");
    let committed = std::fs::read_to_string(path).expect("schemas/control-openapi.json is committed");
    let current = format!("{:#}\n", tenon_protocol::control::openapi_document());
    assert!(
        committed == current,
        "schemas/control-openapi.json is not what the endpoints say; run \
         `cargo run -q -p tenon-protocol --example openapi > schemas/control-openapi.json` and `npm run generate` in ui/"
    );
}
