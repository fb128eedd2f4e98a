// Starts the product as a user would, or uses one that runs already.
//
// TOCSIN_URL and TOCSIN_SIGNINS (a JSON file of sign-ins, as the demo writes it)
// name a running demo; otherwise one is started with `go run ./tocsin demo`.
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";

const services = path.resolve(import.meta.dirname, "../../..");

/** Returns { url, sandbox, password(user), stop() } of a demo with few people. */
export async function demo() {
  if (process.env.TOCSIN_URL) {
    const file = JSON.parse(await readFile(process.env.TOCSIN_SIGNINS, "utf8"));
    return access(process.env.TOCSIN_URL, file, async () => {});
  }
  const dir = await mkdtemp(path.join(tmpdir(), "tocsin-browser-"));
  const data = path.join(dir, "data");
  const child = spawn("go", ["run", "./tocsin", "demo", "--people", "60", "--listen", "127.0.0.1:0", "--sandbox", "127.0.0.1:0", "--keep", data],
    { cwd: services, stdio: ["ignore", "pipe", "inherit"], detached: true });
  const ended = new Promise((done) => child.once("exit", done));
  const stop = async () => {
    try { process.kill(-child.pid, "SIGINT"); } catch { /* it has ended */ }
    await ended;
    await rm(dir, { recursive: true, force: true });
  };
  let text = "";
  const file = await new Promise((found, failed) => {
    child.stdout.on("data", (chunk) => {
      text += chunk;
      const m = text.match(/^Sign-ins of all.*: (\S+\.json)$/m);
      if (m) found(m[1]);
    });
    child.once("exit", (code) => failed(new Error(`the demo ended with ${code} before it was ready:\n${text}`)));
  }).catch(async (e) => { await stop(); throw e; });
  const signins = JSON.parse(await readFile(file, "utf8"));
  return access(signins.url, signins, stop);
}

function access(url, file, stop) {
  return {
    url, sandbox: file.sandbox_url, stop,
    password(user) {
      const u = file.users[user];
      if (!u) throw new Error(`no sign-in for ${user}; the demo has ${Object.keys(file.users)}`);
      return u.Password ?? u.password;
    },
  };
}
