//! What services ask of the platform: the cache, locks, configuration, metrics, crypto and one-time jobs, over two servers.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{Answer, Cluster, ClusterOptions, PATIENCE, wait_for};

const SERVICES: &str = r"
import os
import time

from tenon import Service


class Cached(Service):
    name = 'host.cache'

    def handle(self):
        asked = self.request.payload
        if asked['do'] == 'set':
            self.cache.default.set('user.1', {'name': 'Jane'}, expiry=600)
            self.cache.default.set('user.2', 2)
            self.cache.default.incr('count', 5)
        if asked['do'] == 'delete':
            self.cache.default.delete_by_prefix('user.')
        cache = self.cache.default
        return {'value': cache.get('user.1'), 'users': cache.get_by_prefix('user.'), 'count': cache.get('count')}


class Counting(Service):
    name = 'host.count'

    def handle(self):
        path = self.request.payload['file']
        with self.lock('counting', ttl=60, block=50):
            number = int(open(path).read()) if os.path.exists(path) else 0
            time.sleep(0.01)
            with open(path, 'w') as file:
                file.write(str(number + 1))
        return {'number': number + 1}


class Holding(Service):
    name = 'host.hold'

    def handle(self):
        lock = self.lock('held', ttl=900, block=50)
        lock.acquire()
        asked = self.request.payload
        with open(asked['file'], 'a') as file:
            file.write('held\n')
        if asked['how'] == 'die':
            os._exit(3)
        if asked['how'] == 'wait':
            time.sleep(60)
        return {'token': lock.token}


class Configured(Service):
    name = 'host.config'

    def handle(self):
        return {'config': self.config.get('app'), 'type': self.channel.type}


class Measuring(Service):
    name = 'host.measure'

    def handle(self):
        self.metrics.incr('orders', 2, type='new')
        self.metrics.push('depth', 7)


class Everywhere(Service):
    name = 'host.everywhere'

    def handle(self):
        asked = self.request.payload
        if asked.get('server'):
            return self.invoke('host.where@' + asked['server'], asked)
        answers = self.server.rpc.invoke_all('host.where', asked)
        return {answer.server: answer.data if answer.is_ok else answer.error for answer in answers}


class Where(Service):
    name = 'host.where'

    def handle(self):
        if self.request.payload.get('fails') == self.server.name:
            raise ValueError('as it was asked to')
        return {'server': self.server.name, 'channel': self.channel.type}


class Secretive(Service):
    name = 'host.crypto'

    def handle(self):
        if self.request.payload:
            return {'plain': self.crypto.decrypt(self.request.payload['encrypted'])}
        hashed = self.crypto.hash_secret('right')
        return {
            'encrypted': self.crypto.encrypt('text'),
            'hash': hashed,
            'checks': [self.crypto.verify_hash('right', hashed), self.crypto.verify_hash('wrong', hashed)],
        }


class Scheduling(Service):
    name = 'host.schedule'

    def handle(self):
        asked = self.request.payload
        return {'name': self.schedule.onetime(
            self, 'host.scheduled', prefix='later', after_seconds=asked['after'], data=asked)}


class Scheduled(Service):
    name = 'host.scheduled'

    def handle(self):
        with open(self.request.payload['file'], 'a') as file:
            file.write(self.request.payload['text'] + '\n')
";

const CHANNELS: &str = "rest-channel:
  - {name: cache, path: /cache, service: host.cache}
  - {name: count, path: /count, service: host.count}
  - {name: hold, path: /hold, service: host.hold, timeout: 60s}
  - {name: config, path: /config, service: host.config}
  - {name: measure, path: /measure, service: host.measure}
  - {name: everywhere, path: /everywhere, service: host.everywhere}
  - {name: crypto, path: /crypto, service: host.crypto}
  - {name: schedule, path: /schedule, service: host.schedule}
";

/// How many calls count at the same time.
const COUNTERS: usize = 8;
/// How often each does.
const COUNTS: usize = 5;

fn cluster() -> Cluster {
    let cluster = Cluster::with(ClusterOptions {
        servers: 2,
        environment: vec![("TENON_TEST_PORT".to_owned(), "8080".to_owned())],
        ..ClusterOptions::default()
    });
    cluster.deploy(&[("host.py", SERVICES)]);
    cluster.apply(CHANNELS);
    cluster
}

/// Asks one server, which must answer.
#[track_caller]
fn ask(cluster: &Cluster, server: u16, path: &str, body: &Value) -> Value {
    let answer: Answer = cluster
        .client
        .post_json(&cluster.server_url(server, path), body)
        .unwrap();
    assert!(answer.status < 300, "{answer:?}");
    if answer.body.is_empty() {
        Value::Null
    } else {
        answer.json()
    }
}

#[test]
fn all_servers_share_cache_and_configuration_and_keys() {
    let cluster = cluster();
    ask(&cluster, 1, "/cache", &json!({"do": "set"}));
    let users = json!({"user.1": {"name": "Jane"}, "user.2": 2});
    let expected = json!({"value": {"name": "Jane"}, "users": users, "count": 5});
    assert_eq!(ask(&cluster, 2, "/cache", &json!({"do": "get"})), expected);
    ask(&cluster, 2, "/cache", &json!({"do": "delete"}));
    let expected = json!({"value": null, "users": {}, "count": 5});
    assert_eq!(ask(&cluster, 1, "/cache", &json!({"do": "get"})), expected);

    let made = ask(&cluster, 1, "/crypto", &Value::Null);
    assert_eq!(made["checks"], json!([true, false]));
    assert!(made["hash"].as_str().unwrap().starts_with("$argon2id$"), "{made}");
    let encrypted = json!({"encrypted": made["encrypted"]});
    assert_eq!(ask(&cluster, 2, "/crypto", &encrypted), json!({"plain": "text"}));

    configuration_follows_its_files(&cluster);
}

fn configuration_follows_its_files(cluster: &Cluster) {
    let file = cluster.path().join("user-config").join("app.ini");
    cluster.set_secret("app-password", "s3cret");
    let both_have = |expected: Value| {
        wait_for(&format!("both servers have {expected}"), PATIENCE, || {
            let has = |server| ask(cluster, server, "/config", &Value::Null)["config"] == expected;
            (has(1) && has(2)).then_some(())
        });
    };
    std::fs::write(
        &file,
        "[main]\nport = $TENON_TEST_PORT\nhosts = a, b\nis_on = true\npassword = secret:app-password\n",
    )
    .unwrap();
    let first = json!({"main": {"port": 8080, "hosts": ["a", "b"], "is_on": true, "password": "s3cret"}});
    both_have(first.clone());
    // What can't be read changes nothing, and is told.
    std::fs::write(&file, "[main\nport = 1\n").unwrap();
    wait_for("the log names the mistake", PATIENCE, || {
        cluster
            .log("server1")
            .contains("app.ini, line 1: '[main' is no [section]")
            .then_some(())
    });
    assert_eq!(ask(cluster, 1, "/config", &Value::Null)["config"], first);
    std::fs::write(&file, "[main]\nport = 1\n").unwrap();
    both_have(json!({"main": {"port": 1}}));
    std::fs::remove_file(&file).unwrap();
    both_have(Value::Null);
}

#[test]
fn services_of_other_servers_are_called_by_name_or_all_at_once() {
    let cluster = cluster();
    let here = |server: &str| json!({"server": server, "channel": "invoke"});
    for asked in [1, 2] {
        let answer = ask(&cluster, asked, "/everywhere", &json!({"server": "server2"}));
        assert_eq!(answer, here("server2"));
        let answers = ask(&cluster, asked, "/everywhere", &json!({"fails": "nobody"}));
        assert_eq!(answers, json!({"server1": here("server1"), "server2": here("server2")}));
    }
    let answers = ask(&cluster, 1, "/everywhere", &json!({"fails": "server2"}));
    assert_eq!(answers["server1"], here("server1"));
    assert!(
        answers["server2"].as_str().unwrap().contains("as it was asked to"),
        "{answers}"
    );
}

#[test]
fn a_lock_is_one_call_s_until_it_ends_or_dies() {
    let cluster = cluster();
    let file = cluster.scratch("count");
    std::thread::scope(|scope| {
        for counter in 0..COUNTERS {
            let (cluster, file) = (&cluster, &file);
            scope.spawn(move || {
                let server = if counter % 2 == 0 { 1 } else { 2 };
                for _ in 0..COUNTS {
                    ask(cluster, server, "/count", &json!({ "file": file }));
                }
            });
        }
    });
    let counted = std::fs::read_to_string(&file).unwrap();
    assert_eq!(
        counted,
        (COUNTERS * COUNTS).to_string(),
        "two were in it at the same time"
    );

    // The call that has it ends, its worker dies, its server is killed: the next one gets it long before its time is over.
    let held = cluster.scratch("held");
    let held_times = || std::fs::read_to_string(&held).unwrap_or_default().lines().count();
    let hold = |server, how: &str| {
        let url = cluster.server_url(server, "/hold");
        cluster.client.post_json(&url, &json!({ "file": held, "how": how }))
    };
    let first = hold(1, "return").unwrap().json()["token"].as_u64().unwrap();
    assert_eq!(hold(2, "die").unwrap().status, 502);
    let third = hold(1, "return").unwrap().json()["token"].as_u64().unwrap();
    assert!(third > first + 1, "each holder has a greater token: {first} {third}");
    std::thread::scope(|scope| {
        let lost = scope.spawn(|| hold(2, "wait"));
        wait_for("the lock is held", PATIENCE, || (held_times() == 4).then_some(()));
        cluster.signal("server2", Signal::KILL);
        let next = hold(1, "return").unwrap();
        assert_eq!(next.status, 200, "{next:?}");
        assert!(lost.join().unwrap().map_or(true, |answer| answer.status >= 500));
    });
}

#[test]
fn a_job_for_one_time_removes_itself() {
    let cluster = cluster();
    let file = cluster.scratch("scheduled");
    let text = "${HOME} secret:nothing";
    let body = json!({"after": 3600, "file": file, "text": text});
    let far = ask(&cluster, 1, "/schedule", &body)["name"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(far.starts_with("later."), "{far}");
    let jobs = || cluster.tenon_json(&["job", "list"]).to_string();
    wait_for("the job is listed", PATIENCE, || jobs().contains(&far).then_some(()));
    let body = json!({"after": 1, "file": file, "text": text});
    let near = ask(&cluster, 2, "/schedule", &body)["name"]
        .as_str()
        .unwrap()
        .to_owned();
    wait_for("the job has run", PATIENCE, || file.exists().then_some(()));
    wait_for("the job is gone", PATIENCE, || {
        let jobs = jobs();
        (jobs.contains(&far) && !jobs.contains(&near)).then_some(())
    });
    assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("{text}\n"));
}
