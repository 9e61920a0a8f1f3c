import { Button, PasswordInput, Stack, TextInput, Title } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { ApiError, logIn } from "../api/client";
import { queryClient, sessionQuery } from "../api/queries";
import { Mark } from "../ui/icons";
import { Code, Failure } from "../ui/parts";

export function LoginScreen() {
  const [user, setUser] = useState("admin");
  const [password, setPassword] = useState("");
  const login = useMutation({
    mutationFn: () => logIn(user.trim(), password),
    onSuccess: () => queryClient.invalidateQueries({ queryKey: sessionQuery.queryKey }),
  });
  useEffect(() => {
    document.title = "Sign in · Tenon";
  }, []);
  const wrong = login.error instanceof ApiError && login.error.status === 401;
  return (
    <main className="login">
      <form
        className="panel login-card"
        onSubmit={(event) => {
          event.preventDefault();
          login.mutate();
        }}
      >
        <Stack gap="md">
          <div className="brand">
            <Mark size={28} />
            <Title order={1}>Sign in to Tenon</Title>
          </div>
          <TextInput
            label="User"
            name="username"
            autoComplete="username"
            required
            withAsterisk={false}
            value={user}
            onChange={(event) => setUser(event.currentTarget.value)}
          />
          <PasswordInput
            label="Password"
            name="password"
            autoComplete="current-password"
            required
            withAsterisk={false}
            autoFocus
            value={password}
            onChange={(event) => setPassword(event.currentTarget.value)}
            error={wrong ? "User and password don't match" : undefined}
          />
          {login.error && !wrong ? <Failure error={login.error} /> : null}
          <Button type="submit" size="sm" loading={login.isPending} disabled={!user || !password}>
            Sign in
          </Button>
          <div className="quiet">
            The first password of <Code>admin</Code> is in <Code>secrets/admin-password</Code> of the
            environment.
          </div>
        </Stack>
      </form>
    </main>
  );
}
