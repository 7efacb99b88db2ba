// Before a build: nothing of an old one goes into the package, and the license does.
import { copyFileSync, rmSync } from "node:fs";

const at = (path) => new URL(`../${path}`, import.meta.url);
rmSync(at("dist"), { recursive: true, force: true });
copyFileSync(at("../LICENSE"), at("LICENSE"));
