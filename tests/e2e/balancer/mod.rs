//! The load balancer's configuration as objects: what a change does to clients, what outlives a restart without servers, what is
//! refused, what is reported.

mod keep_alive;
mod steps;

use crate::group::group;

group! {
    steps::cluster, steps:
    what_can_not_be_used_is_refused_with_the_path_of_the_element,
    changes_take_effect_at_once_and_drop_no_connection,
    a_drained_server_gets_nothing_new,
    a_certificate_is_shown_at_once_and_outlives_its_secret,
    private_keys_are_for_load_balancers_only,
    a_restart_without_any_server_keeps_the_configuration,
}
