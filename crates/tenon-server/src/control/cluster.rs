//! Components: status, members, announcements of those that have no store of their own.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use tenon_model::{Member, MemberState, Problem, Role};
use tenon_protocol::control::{
    AnnounceMember, ClusterStatus, ComponentStatus, ForgetMember, GetStatus, ListMembers, MembersReply, Nothing,
};
use tenon_store::Event;
use tokio::time::Instant;

use super::endpoint::{ApiCall, Routes, store_problem};

const WAIT_MAX: Duration = Duration::from_secs(25);
/// How long a server that ends keeps somebody waiting who waits for changes.
pub(super) const DRAINING_PAUSE: Duration = Duration::from_millis(100);

pub(super) fn add(routes: &mut Routes) {
    routes.add::<GetStatus, _, _>(status);
    routes.add::<ListMembers, _, _>(members);
    routes.add::<AnnounceMember, _, _>(announce);
    routes.add::<ForgetMember, _, _>(forget);
}

async fn status(call: ApiCall<GetStatus>) -> Result<ClusterStatus, Problem> {
    let store = &call.api.store;
    let mut members = store.members().await.map_err(|error| store_problem(&error))?;
    let now = store.now().await.map_err(|error| store_problem(&error))?;
    members.sort_by(|a, b| (a.role, &a.name).cmp(&(b.role, &b.name)));
    Ok(ClusterStatus {
        cluster: call.api.cluster.clone(),
        revision: call.api.snapshot.load().revision,
        deployment: call.api.services.status().deployment,
        components: members
            .iter()
            .map(|member| ComponentStatus::of_member(member, now))
            .collect(),
    })
}

async fn members(call: ApiCall<ListMembers>) -> Result<MembersReply, Problem> {
    let store = &call.api.store;
    let wait = call
        .params
        .wait_ms
        .map_or(WAIT_MAX, Duration::from_millis)
        .min(WAIT_MAX);
    let deadline = Instant::now() + wait;
    let mut events = store.events();
    loop {
        let members = store.members().await.map_err(|error| store_problem(&error))?;
        let cursor = cursor_of(&members);
        if call.params.after != Some(cursor) || Instant::now() >= deadline {
            return Ok(MembersReply { cursor, members });
        }
        if call.api.health.is_draining() {
            // Who waits here must not hold up the end of the server, nor ask again and again.
            tokio::time::sleep(DRAINING_PAUSE).await;
            let members = store.members().await.map_err(|error| store_problem(&error))?;
            let cursor = cursor_of(&members);
            return Ok(MembersReply { cursor, members });
        }
        let changed = async {
            loop {
                match events.recv().await {
                    Some(Event::Members | Event::Reconnected) | None => break,
                    Some(_) => {}
                }
            }
        };
        tokio::select! {
            () = changed => {}
            () = call.api.health.drains() => {}
            () = tokio::time::sleep_until(deadline) => {}
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}

/// A number for what a load balancer acts on; heartbeats alone do not change it.
fn cursor_of(members: &[Member]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for member in members {
        (
            &member.name,
            member.role,
            &member.instance,
            member.state,
            &member.address,
            &member.data_socket,
        )
            .hash(&mut hasher);
        (&member.control_address, member.deployment).hash(&mut hasher);
    }
    // JSON numbers are exact up to 2^53 in every client.
    hasher.finish() >> 11
}

async fn announce(call: ApiCall<AnnounceMember>) -> Result<Nothing, Problem> {
    let member = call.body;
    // A user's session that came through the dashboard is not the dashboard.
    let is_itself = call.caller.token.is_none() && call.caller.role == member.role;
    let allowed = is_itself && matches!(member.role, Role::Dashboard | Role::LoadBalancer);
    if !allowed || member.name != call.params.name {
        return Err(Problem::new(
            403,
            "forbidden",
            "a component can only say how it is itself",
        ));
    }
    if member.state == MemberState::Dead {
        return Err(Problem::new(422, "invalid", "a component can't say that it is dead"));
    }
    call.api
        .store
        .heartbeat(member)
        .await
        .map_err(|error| store_problem(&error))?;
    Ok(Nothing {})
}

async fn forget(call: ApiCall<ForgetMember>) -> Result<Nothing, Problem> {
    let (store, name) = (&call.api.store, &call.params.name);
    let members = store.members().await.map_err(|error| store_problem(&error))?;
    let known = members.iter().find(|member| member.name == *name);
    if known.is_some_and(|member| !matches!(member.state, MemberState::Dead | MemberState::Stopped)) {
        let detail = format!("{name} lives, and would be a member again a second later");
        return Err(Problem::new(409, "conflict", detail));
    }
    store.forget_member(name).await.map_err(|error| store_problem(&error))?;
    Ok(Nothing {})
}
