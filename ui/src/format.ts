// How numbers and instants are written. Everything here is a pure function.

const UNITS: [number, string][] = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "m"],
  [1, "s"],
];

/** `3725` → `1h 2m`: the two largest units. */
export function seconds(value: number): string {
  const whole = Math.max(0, Math.floor(value));
  const first = UNITS.findIndex(([size]) => whole >= size);
  if (first < 0) return "0s";
  const [size, unit] = UNITS[first] as [number, string];
  const rest = UNITS[first + 1];
  const head = `${Math.floor(whole / size)}${unit}`;
  const tail = rest ? Math.floor((whole % size) / rest[0]) : 0;
  return tail > 0 && rest ? `${head} ${tail}${rest[1]}` : head;
}

/** `0.42` → `0.42 ms`, `1234` → `1.23 s`, `90000` → `1m 30s`. */
export function millis(value: number): string {
  if (value < 10) return `${Number(value.toFixed(2))} ms`;
  if (value < 1000) return `${Math.round(value)} ms`;
  if (value < 60_000) return `${(value / 1000).toFixed(2)} s`;
  return seconds(value / 1000);
}

/** `157286400` → `150 MB`; powers of 1024, as `ps` and `top` count. */
export function bytes(value: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let size = value;
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit === 0 || size >= 100 ? Math.round(size) : size.toFixed(1)} ${units[unit]}`;
}

/** How long before or after `now` an instant is: `12s ago`, `in 3m`. */
export function relative(instant: string, now: number): string {
  const distance = (Date.parse(instant) - now) / 1000;
  if (Number.isNaN(distance)) return instant;
  if (Math.abs(distance) < 1) return "now";
  return distance < 0 ? `${seconds(-distance)} ago` : `in ${seconds(distance)}`;
}

const pad = (value: number, length = 2) => String(value).padStart(length, "0");

/** An instant in the reader's time zone: `2026-11-23 14:05:09`. */
export function instant(text: string): string {
  const date = new Date(text);
  if (Number.isNaN(date.getTime())) return text;
  const day = `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
  return `${day} ${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
}

/** `1, "file"` → `1 file`; `2, "file"` → `2 files`. */
export function count(value: number, noun: string, plural = `${noun}s`): string {
  return `${value.toLocaleString("en")} ${value === 1 ? noun : plural}`;
}

/** JSON as people read it. */
export function pretty(value: unknown): string {
  return JSON.stringify(value, null, 2) ?? "null";
}

/** A word as a POSIX shell takes it. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
