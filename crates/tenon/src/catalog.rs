//! Every kind of object that this binary knows: the one place where the lists of all crates come together.

use tenon_model::Catalog;

/// The catalog of all kinds.
pub(crate) fn catalog() -> Catalog {
    let kinds = [
        tenon_connectors::kinds(),
        tenon_balancer::kinds(),
        tenon_scheduler::kinds(),
        tenon_server::kinds(),
    ];
    Catalog::new(kinds.into_iter().flatten())
}
