//! HAProxy, nginx and traefik as `deploy/` sets them up: in place of the load balancer, in front of it, in front of two clusters.
//!
//! All on one pair of clusters, in the order of the list; the tests whose names begin with `claim` are those of the chapter on
//! availability that this project comes from, by their numbers.

pub(crate) mod pair;
mod steps;
pub(crate) mod traffic;

use crate::group::group;

group! {
    pair::Pair::start, steps:
    the_client_s_address_is_kept_through_every_proxy,
    strangers_are_not_believed,
    claim_14_an_external_balancer_replaces_the_built_in_one,
    claim_30_a_server_says_that_it_is_not_ready_before_it_stops_to_serve,
    claim_36_requests_that_follow_each_other_may_go_to_different_servers,
    claim_33_clusters_share_neither_configuration_nor_state,
    claim_37_each_cluster_fires_its_own_jobs,
    claim_09_requests_succeed_while_one_of_two_clusters_is_killed,
    claim_28_what_is_left_serves_when_a_host_is_gone,
    claim_31_the_passive_cluster_takes_over_and_gives_back,
    claim_34_requests_may_go_to_either_cluster,
}
