/**
 * The callback forms. Wrong arguments throw at once, as with Node; results and all other errors go to the callback, in
 * a later turn of the event loop.
 */
import { promisify } from 'node:util';
import { checkFunction } from './arguments.ts';
import type { Call } from './calls.ts';
import { isArgumentError } from './errors.ts';
import { DEFAULT_READ_BYTES } from './files.ts';
import type { SyncCalls } from './sync-calls.ts';
import type { TreeCopyCalls } from './tree-copy.ts';

type Callback = (error: unknown, ...results: unknown[]) => void;

/** Takes the callback off the end of the arguments. */
function splitCallback(args: unknown[]): [unknown[], Callback] {
  const last = args.at(-1);
  if (typeof last !== 'function') checkFunction(undefined, 'cb');
  // The cast: checkFunction has thrown unless this is a function.
  return [args.slice(0, -1), last as Callback];
}

function callLater(call: Call, args: unknown[], callback: Callback): void {
  try {
    const result = call(...args);
    if (result === undefined) setImmediate(callback, null);
    else setImmediate(callback, null, result);
  } catch (error) {
    if (isArgumentError(error)) throw error;
    setImmediate(callback, error);
  }
}

/** The callback form of a synchronous call. */
function withCallback(name: string, call: Call): Call {
  // The literal gives the function its name: defineProperty would cost each function a dictionary of 300 bytes.
  const form = { [name]: (...args: unknown[]): void => callLater(call, ...splitCallback(args)) };
  return form[name]!;
}

/** read, write, readv and writev give the callback a count and the buffers, even when they fail. */
function transferCall(name: 'read' | 'write' | 'readv' | 'writev', call: Call): Call {
  const isRead = name.startsWith('read');
  const form = (...args: unknown[]): void => {
    const [own, callback] = splitCallback(args);
    const given = name === 'read' ? withBuffer(own) : own;
    callLater(call, given, (error, count = 0) => callback(error, count, given[1]));
  };
  const results = `bytes${isRead ? 'Read' : 'Written'}`;
  const buffers = name.endsWith('v') ? 'buffers' : 'buffer';
  Object.defineProperty(form, 'name', { value: name });
  Object.defineProperty(form, promisify.custom, {
    value: async (...args: unknown[]) => {
      const given = name === 'read' ? withBuffer(args) : args;
      return { [results]: call(...given), [buffers]: given[1] };
    },
  });
  return form;
}

/** Completes the arguments of fs.read: where they have no buffer, (fd) or (fd, options), adds a new one. */
function withBuffer(args: unknown[]): unknown[] {
  const [fd, second, ...rest] = args;
  if (args.length === 1) return [fd, Buffer.alloc(DEFAULT_READ_BYTES)];
  if (args.length !== 2 || ArrayBuffer.isView(second)) return [fd, second, ...rest];
  if (typeof second !== 'object' || second === null) return args;
  const buffer: unknown = 'buffer' in second ? second.buffer : undefined;
  return [fd, buffer ?? Buffer.alloc(DEFAULT_READ_BYTES), second];
}

/** The form of `exists`. Its callback gets true or false, while the callbacks of all other forms get an error first. */
function existsCall(call: Call): Call {
  const exists = (path: unknown, callback: unknown): void => {
    checkFunction(callback, 'cb');
    setImmediate(callback, call(path));
  };
  Object.defineProperty(exists, promisify.custom, { value: async (path: unknown) => call(path) });
  // The cast: the parameters are checked by hand above.
  return exists as Call;
}

function closeCall(call: Call): Call {
  const close = withCallback('close', call);
  const ignore = (error: unknown): void => {
    if (error !== null) throw error;
  };
  const form = { close: (...args: unknown[]) => close(...(args.length === 1 ? [...args, ignore] : args)) };
  return form.close;
}

/** The form of `cp`, whose filter may return a promise. */
function copyCall(trees: TreeCopyCalls): Call {
  const form = {
    cp: (...args: unknown[]): void => {
      const [[source, destination, options], callback] = splitCallback(args);
      trees.cp(source, destination, options).then(
        () => setImmediate(callback, null),
        (error: unknown) => setImmediate(callback, error),
      );
    },
  };
  return form.cp;
}

/** Every callback form by name. */
export function createCallbacks(sync: SyncCalls): Record<string, Call> {
  const form: Record<string, Call> = {};
  for (const [name, call] of sync.forms()) form[name] = withCallback(name, call);
  for (const name of ['read', 'write', 'readv', 'writev'] as const) {
    form[name] = transferCall(name, sync.byName(`${name}Sync`));
  }
  form.opendir = withCallback('opendir', sync.byName('opendirNamed'));
  form.exists = existsCall(sync.byName('existsSync'));
  form.close = closeCall(sync.byName('closeSync'));
  form.cp = copyCall(sync.trees);
  const native = withCallback('native', sync.byName('realpathNative'));
  Object.assign(form.realpath!, { native });
  return form;
}
