// The frame around every screen: navigation, the cluster's health, the user, and the banner when nothing answers.
import { ActionIcon, AppShell, Burger, Menu, Tooltip, useMantineColorScheme } from "@mantine/core";
import { type ReactNode, useEffect, useState } from "react";
import { logOut } from "./api/client";
import { queryClient, sessionQuery } from "./api/queries";
import type { Session } from "./api/types";
import { usePulse } from "./pulse";
import { Link, navigate, usePath } from "./router";
import { Icon, type IconName, Mark } from "./ui/icons";
import { isTyping } from "./ui/parts";
import { State } from "./ui/state";
import { useNow } from "./ui/time";

const PLACES: { href: string; text: string; icon: IconName; key: string }[] = [
  { href: "/", text: "Overview", icon: "overview", key: "o" },
  { href: "/services", text: "Services", icon: "services", key: "s" },
  { href: "/deployments", text: "Deployments", icon: "deployments", key: "d" },
  { href: "/jobs", text: "Jobs", icon: "jobs", key: "j" },
  { href: "/load-balancer", text: "Load balancer", icon: "balancer", key: "l" },
  { href: "/objects", text: "Objects", icon: "objects", key: "b" },
];

/** `g` and then a letter goes to a place. */
function useGoTo() {
  useEffect(() => {
    let armed = 0;
    const press = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      if (event.key === "g") {
        armed = Date.now();
      } else if (Date.now() - armed < 1500) {
        armed = 0;
        const place = PLACES.find(({ key }) => key === event.key);
        if (place) navigate(place.href);
      }
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);
}

function Scheme() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const next = { auto: "light", light: "dark", dark: "auto" } as const;
  const icon = { auto: "auto", light: "sun", dark: "moon" } as const;
  const label = `Colours: ${colorScheme === "auto" ? "as the system has it" : colorScheme}. Change to ${next[colorScheme]}`;
  return (
    <Tooltip label={label}>
      <ActionIcon
        variant="subtle"
        color="gray"
        size="lg"
        aria-label={label}
        onClick={() => setColorScheme(next[colorScheme])}
      >
        <Icon name={icon[colorScheme]} />
      </ActionIcon>
    </Tooltip>
  );
}

function UserMenu({ session }: { session: Session }) {
  const signOut = async () => {
    await logOut().catch(() => undefined);
    queryClient.setQueryData(sessionQuery.queryKey, null);
    queryClient.removeQueries({ predicate: (query) => query.queryKey[0] !== "session" });
    navigate("/");
  };
  return (
    <Menu position="bottom-end" width={200}>
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" size="lg" aria-label={`User ${session.user}`}>
          <Icon name="user" />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>
          {session.user} · {session.access}
        </Menu.Label>
        <Menu.Item onClick={signOut}>Sign out</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

function Banner() {
  const { error, lastSeenAt } = usePulse();
  const now = useNow();
  if (!error) return null;
  const age = Math.max(0, Math.round((now - lastSeenAt) / 1000));
  return (
    <div className="banner" role="alert">
      <strong>{error.status === 0 ? "The dashboard does not answer." : "No server answers."}</strong>
      <span>
        {lastSeenAt > 0 && `What you see is ${age} s old. `}Asking again every second. On the host,{" "}
        <code>tenon status</code> says more.
      </span>
    </div>
  );
}

function Navigation({ onNavigate }: { onNavigate: () => void }) {
  const path = usePath();
  return (
    <nav aria-label="Places">
      {PLACES.map(({ href, text, icon, key }) => {
        const root = path.startsWith("/new/") ? "/objects" : path;
        const here = href === "/" ? root === "/" : root === href || root.startsWith(`${href}/`);
        return (
          <Link
            key={href}
            href={href}
            className="nav-link"
            aria-current={here ? "page" : undefined}
            title={`g ${key}`}
            onClick={onNavigate}
          >
            <Icon name={icon} />
            {text}
          </Link>
        );
      })}
    </nav>
  );
}

export function Shell({ session, children }: { session: Session; children: ReactNode }) {
  const [opened, setOpened] = useState(false);
  const { status, verdict } = usePulse();
  useGoTo();
  return (
    <AppShell
      header={{ height: 50 }}
      navbar={{ width: 188, breakpoint: "sm", collapsed: { mobile: !opened } }}
      padding={20}
      transitionDuration={0}
    >
      <AppShell.Header>
        <a className="skip-link" href="#main">
          To the content
        </a>
        <div className="shell-header">
          <Burger
            opened={opened}
            onClick={() => setOpened(!opened)}
            hiddenFrom="sm"
            size="sm"
            aria-label="Places"
          />
          <Link className="brand" href="/">
            <Mark />
            Tenon
          </Link>
          {status && <span className="brand-cluster">{status.cluster}</span>}
          <Link href="/" className="health-chip" aria-label={`Health: ${verdict.text}`}>
            <State level={verdict.level}>{verdict.text}</State>
          </Link>
          <div style={{ marginLeft: "auto", display: "flex", gap: 2 }}>
            <Scheme />
            <UserMenu session={session} />
          </div>
        </div>
      </AppShell.Header>
      <AppShell.Navbar className="shell-navbar">
        <Navigation onNavigate={() => setOpened(false)} />
      </AppShell.Navbar>
      <AppShell.Main id="main">
        <Banner />
        {children}
      </AppShell.Main>
    </AppShell>
  );
}
