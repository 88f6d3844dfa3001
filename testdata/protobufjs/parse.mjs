// Reads messages with protobufjs 6 and 7, and writes what each sees.
// usage: node parse.mjs ROOT FILE TYPE   (a line in is a message in hex; a line
// out is JSON). A line "encode N" writes N random messages, encoded by each.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { existsSync } from "node:fs";
import path from "node:path";

const require = createRequire(import.meta.url);
const [, , root, file, typeName] = process.argv;

const parsers = ["protobufjs6", "protobufjs"].map((name) => {
  const protobuf = require(name);
  const r = new protobuf.Root();
  const own = path.dirname(require.resolve(name + "/package.json"));
  r.resolvePath = (_, target) => [root, own].map((folder) => path.join(folder, target)).find(existsSync) ?? target;
  return { name, type: r.loadSync(file, { keepCase: true }).lookupType(typeName), protobuf };
});

// names lists what stands in user_app_id, anywhere, by the way to it.
function names(value, way, list) {
  if (value === null || typeof value !== "object" || ArrayBuffer.isView(value)) return;
  const prototype = Object.getPrototypeOf(value);
  const fields = value.$type ? value.$type.fieldsArray.map((f) => f.name) : Object.keys(value);
  for (const name of fields) {
    const v = value[name];
    // What a field has without being read is not on the object itself.
    if (value.$type && prototype && v === prototype[name]) continue;
    if (v && v.$type && v.$type.name === "UserAppID") list.push([way, v.user_id, v.app_id]);
    else names(v, value.$type ? way + "." + name : way, list);
  }
}

function parse(hex) {
  return parsers.map(({ type }) => {
    try {
      const list = [];
      names(type.decode(Buffer.from(hex, "hex")), "", list);
      return { names: list };
    } catch (e) {
      return { error: String(e.message) };
    }
  });
}

// random makes up a value of a field's type.
function random(field, depth) {
  const n = () => Math.floor(Math.random() * 2 ** 31) - (Math.random() < 0.3 ? 2 ** 31 : 0);
  const { Long } = parsers[1].protobuf.util;
  switch (field.type) {
    case "double": case "float": return Math.random() * 1e6;
    case "bool": return Math.random() < 0.5;
    case "string": return ["", "alice", "é", "\u{1f511}", "x".repeat(200)][Math.floor(Math.random() * 5)];
    case "bytes": return Buffer.from([0xff, 0x00, 0x0a].slice(Math.floor(Math.random() * 4)));
    case "uint32": case "fixed32": return n() >>> 0;
    case "int64": case "sint64": case "sfixed64": return new Long(n(), n(), false);
    case "uint64": case "fixed64": return new Long(n(), n(), true);
    case "int32": case "sint32": case "sfixed32": return n() | 0;
  }
  const { resolvedType } = field.resolve();
  if (resolvedType.values) {
    const values = Object.values(resolvedType.values);
    return values[Math.floor(Math.random() * values.length)];
  }
  return message(resolvedType, depth + 1);
}

function message(type, depth) {
  const object = {};
  const chosen = {};
  for (const f of type.fieldsArray) {
    if (depth > 4 || Math.random() < 0.4) continue;
    if (f.partOf && !f.options?.proto3_optional) {
      if (chosen[f.partOf.name]) continue;
      chosen[f.partOf.name] = true;
    }
    const some = () => Array.from({ length: Math.floor(Math.random() * 4) }, () => random(f, depth));
    if (f.map) object[f.name] = Object.fromEntries(some().map((v, i) => [f.keyType === "bool" ? i % 2 === 0 : i, v]));
    else object[f.name] = f.repeated ? some() : random(f, depth);
  }
  return object;
}

for await (const line of createInterface({ input: process.stdin })) {
  const [, count] = line.split("encode ");
  if (count === undefined) {
    console.log(JSON.stringify(parse(line)));
    continue;
  }
  for (let i = 0; i < Number(count); i++) {
    const object = message(parsers[0].type, 0);
    console.log(JSON.stringify(parsers.map(({ type }) => Buffer.from(type.encode(type.create(object)).finish()).toString("hex"))));
  }
}
