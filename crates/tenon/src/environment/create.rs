//! Makes a new environment: everything is checked first, then made, and taken away again if something fails half-way.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tenon_model::{Clock, InstanceId, Random, Role};

use super::authority::Authority;
use super::layout::Layout;
use super::made::Made;
use super::ports::{self, PortOptions, PortPlan, SERVERS_MAX};
use super::python::{self, Python};
use super::settings::{
    ClusterSettings, ComponentSettings, EnvironmentSettings, LogSettings, StoreLocation, SupervisorSettings,
};
use super::{Environment, component, demo, locks, secrets};
use crate::failure::fail;

/// The store of an environment that says nothing else.
pub(crate) const STORE_URL: &str = "sqlite:data";

/// Directories that hold the user's own files: made if missing, never removed.
const USER_DIRECTORIES: [&str; 3] = ["services", "manifests", "user-config"];

/// What the user asked for.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct CreateOptions {
    /// Where.
    pub(crate) directory: PathBuf,
    /// The cluster's name; the directory's if not given.
    pub(crate) cluster_name: Option<String>,
    /// How many servers.
    pub(crate) servers: u16,
    /// The ports and addresses.
    pub(crate) ports: PortOptions,
    /// The store's URL.
    pub(crate) store: String,
    /// Whether there is a scheduler.
    pub(crate) scheduler: bool,
    /// Whether there is a load balancer.
    pub(crate) balancer: bool,
    /// Whether there is a dashboard.
    pub(crate) dashboard: bool,
    /// Whether there is a demo service with its channel.
    pub(crate) demo: bool,
    /// The Python for services; found if not given.
    pub(crate) python: Option<PathBuf>,
    /// A file that holds the admin's password.
    pub(crate) admin_password_file: Option<PathBuf>,
    /// Do nothing if there is an environment already.
    pub(crate) skip_if_exists: bool,
    /// Make an environment anew where one is.
    pub(crate) force: bool,
}

/// What was made.
#[derive(Debug)]
pub(crate) enum Created {
    /// There was an environment already, and that was all right.
    Existed(Environment),
    /// A new environment.
    New(NewEnvironment),
}

/// A new environment, and what its owner needs to know once.
#[derive(Debug)]
pub(crate) struct NewEnvironment {
    /// The environment.
    pub(crate) environment: Environment,
    /// The admin's password, if it was made up.
    pub(crate) password: Option<String>,
    /// The Python that runs services.
    pub(crate) python: Python,
}

/// What will be made: the outcome of all checks.
struct Plan {
    layout: Layout,
    cluster: ClusterSettings,
    components: Vec<ComponentSettings>,
    ports: PortOptions,
    demo: bool,
    python: Python,
    password: Option<String>,
    replace: bool,
}

/// Makes an environment.
pub(crate) fn create(options: &CreateOptions, clock: &dyn Clock, random: &dyn Random) -> anyhow::Result<Created> {
    let root = absolute(&options.directory)?;
    let layout = Layout::new(root.clone());
    if options.skip_if_exists && layout.environment_file().is_file() {
        return Ok(Created::Existed(Environment::open(&root)?));
    }
    let plan = check(options, layout, random)?;
    if plan.replace {
        remove_environment(&plan.layout)?;
    }
    let password = match &plan.password {
        Some(password) => password.clone(),
        None => secrets::random_password(random),
    };
    let mut made = Made::new(&plan.layout)?;
    make(&plan, &password, &mut made, clock, random)?;
    made.keep();
    Ok(Created::New(NewEnvironment {
        environment: Environment::open(&root)?,
        password: plan.password.is_none().then_some(password),
        python: plan.python,
    }))
}

/// Checks everything that can be checked, and changes nothing.
fn check(options: &CreateOptions, layout: Layout, random: &dyn Random) -> anyhow::Result<Plan> {
    check_store(&options.store)?;
    if options.servers > SERVERS_MAX {
        fail!(
            InvalidInput,
            format!("--servers {} can't be", options.servers),
            format!("an environment has 1 to {SERVERS_MAX} servers")
        );
    }
    let name = cluster_name(options, layout.root())?;
    let replace = check_directory(options, &layout)?;
    let ports = PortPlan::new(&options.ports, options.servers)?;
    ports::check(
        &ports.uses(options.dashboard, options.balancer, options.scheduler),
        ports::ephemeral_range(),
    )?;
    let python = python::find(options.python.as_deref())?;
    let password = options
        .admin_password_file
        .as_deref()
        .map(secrets::read_password)
        .transpose()?;
    let components = components(options, &ports, &python);
    let id = InstanceId::generate(random).as_str().to_owned();
    Ok(Plan {
        layout,
        cluster: ClusterSettings { name, id },
        components,
        ports: options.ports.clone(),
        demo: options.demo,
        python,
        password,
        replace,
    })
}

fn check_store(url: &str) -> anyhow::Result<()> {
    if url == STORE_URL {
        return Ok(());
    }
    if url.starts_with("sqlite:") {
        fail!(
            InvalidInput,
            format!("--store {url} can't be used: the SQLite store lies in data/ of the environment"),
            format!("leave --store out, or write {STORE_URL}")
        );
    }
    fail!(
        InvalidInput,
        format!("--store {url} can't be used: this version has the SQLite store only"),
        format!("leave --store out, or write {STORE_URL}")
    )
}

fn cluster_name(options: &CreateOptions, root: &Path) -> anyhow::Result<String> {
    if let Some(name) = &options.cluster_name {
        if !is_cluster_name(name) {
            fail!(
                InvalidInput,
                format!("'{name}' can't be a cluster's name"),
                "choose one of at most 60 characters, without slashes, with --cluster-name"
            );
        }
        return Ok(name.clone());
    }
    let directory = root.file_name().map(|name| name.to_string_lossy().into_owned());
    Ok(directory
        .filter(|name| is_cluster_name(name))
        .unwrap_or_else(|| "tenon".to_owned()))
}

fn is_cluster_name(name: &str) -> bool {
    !name.is_empty()
        && name.chars().count() <= 60
        && name.trim() == name
        && !name.chars().any(|c| c.is_control() || c == '/')
}

/// Whether the directory holds an environment that is to be replaced; an error if nothing can be made there.
fn check_directory(options: &CreateOptions, layout: &Layout) -> anyhow::Result<bool> {
    let root = layout.root();
    if !root.exists() {
        return Ok(false);
    }
    if !root.is_dir() {
        fail!(
            NotEmpty,
            format!("{} is a file", root.display()),
            "give a directory that does not exist yet, or is empty"
        );
    }
    let mut entries = std::fs::read_dir(root).with_context(|| format!("can't read {}", root.display()))?;
    if entries.next().is_none() {
        return Ok(false);
    }
    if !layout.environment_file().is_file() {
        fail!(
            NotEmpty,
            format!("{} is not empty", root.display()),
            "give a directory that does not exist yet, or is empty; --force replaces nothing but an environment"
        );
    }
    if !options.force {
        fail!(
            NotEmpty,
            format!("{} already holds an environment", root.display()),
            "start it with `tenon start`, make it anew with --force, or let it be with --skip-if-exists"
        );
    }
    let names = component_names(layout)?;
    let runs = locks::is_locked(&layout.run().join("supervisor.lock"))
        || names
            .iter()
            .any(|name| locks::is_locked(&layout.component_run(name).join("lock")));
    if runs {
        fail!(
            AlreadyRunning,
            format!("the environment in {} runs", root.display()),
            format!("stop it first with `tenon stop {}`", root.display())
        );
    }
    Ok(true)
}

fn components(options: &CreateOptions, ports: &PortPlan, python: &Python) -> Vec<ComponentSettings> {
    let controls: Vec<_> = ports.servers.iter().map(|(_, control)| *control).collect();
    let mut components = vec![component::store()];
    for (index, addresses) in ports.servers.iter().enumerate() {
        components.push(component::server(
            &format!("server{}", index + 1),
            *addresses,
            &python.path,
        ));
    }
    if options.scheduler {
        components.push(component::scheduler(ports));
    }
    if options.dashboard {
        components.push(component::dashboard(ports, &controls));
    }
    if options.balancer {
        components.push(component::load_balancer(ports, &controls));
    }
    components
}

fn make(plan: &Plan, password: &str, made: &mut Made, clock: &dyn Clock, random: &dyn Random) -> anyhow::Result<()> {
    let layout = &plan.layout;
    for directory in ["ca", "secrets", "data", "run", "logs"] {
        made.directory(directory)?;
    }
    made.sockets(layout)?;
    secrets::create(layout, password, random)?;
    let authority = Authority::create(layout, &plan.cluster.name, clock.now())?;
    authority.issue(layout, &plan.cluster.name, Role::Operator, Role::Operator.as_str())?;
    for component in &plan.components {
        component::make(layout, &plan.cluster.name, &authority, component, made, clock.now())?;
    }
    for directory in USER_DIRECTORIES {
        if !layout.root().join(directory).exists() {
            made.directory(directory)?;
        }
    }
    let demo = [
        (layout.services().join("demo.py"), demo::SERVICE),
        (layout.manifests().join("demo.yaml"), demo::MANIFEST),
        (layout.user_config().join("demo.ini"), demo::USER_CONFIG),
    ];
    for (path, text) in demo.into_iter().filter(|_| plan.demo) {
        if !path.exists() {
            write(&path, text)?;
        }
    }
    // Last: a directory without this file is no environment.
    let settings = EnvironmentSettings {
        cluster: plan.cluster.clone(),
        store: Some(StoreLocation {
            url: STORE_URL.to_owned(),
        }),
        ports: plan.ports.clone(),
        supervisor: SupervisorSettings::default(),
        log: LogSettings::default(),
    };
    const COMMENT: &str = "# What all components of this environment have in common. Read when a component starts.\n\n";
    made.file(
        "environment.toml",
        &format!("{COMMENT}{}", component::toml_text(&settings)?),
    )
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("can't write {}", path.display()))
}

/// The directory as an absolute path, whose parent exists.
pub(super) fn absolute(directory: &Path) -> anyhow::Result<PathBuf> {
    if let Ok(path) = directory.canonicalize() {
        return Ok(path);
    }
    let path = std::path::absolute(directory).with_context(|| format!("'{}' is no path", directory.display()))?;
    let parent = path.parent().and_then(|parent| parent.canonicalize().ok());
    match (parent, path.file_name()) {
        (Some(parent), Some(name)) if parent.is_dir() => Ok(parent.join(name)),
        _ => fail!(
            NoSuchPath,
            format!(
                "{} can't be created: its parent directory does not exist",
                path.display()
            ),
            "create that first"
        ),
    }
}

/// The names of the components whose directories lie in an environment, whatever their settings say.
fn component_names(layout: &Layout) -> anyhow::Result<Vec<String>> {
    let entries = std::fs::read_dir(layout.root())?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.filter(|name| layout.component_file(name).is_file()).collect())
}

/// Removes what an environment is made of, and nothing else: files of the user stay.
fn remove_environment(layout: &Layout) -> anyhow::Result<()> {
    let mut directories = component_names(layout)?;
    directories.extend(["ca", "secrets", "data", "run", "logs"].map(str::to_owned));
    for directory in directories {
        let path = layout.root().join(directory);
        if path.exists() {
            std::fs::remove_dir_all(&path).with_context(|| format!("can't remove {}", path.display()))?;
        }
    }
    if let Some(directory) = layout.short_directory().filter(|directory| directory.is_dir()) {
        std::fs::remove_dir_all(&directory).with_context(|| format!("can't remove {}", directory.display()))?;
    }
    // Last, so that a removal that failed half-way can be repeated.
    locks::remove_if_there(&layout.environment_file())
}
