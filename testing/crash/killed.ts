/** `kill -9` of a program that works on a store. */
import { spawn } from 'node:child_process';

/** Runs a program and kills it `delayMs` after its first byte of output; returns how many bytes it printed. */
export function killed(program: string, args: readonly string[], delayMs: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
    let bytesWritten = 0;
    child.stdout.on('data', (bytes: Buffer) => {
      if (bytesWritten === 0) setTimeout(() => child.kill('SIGKILL'), delayMs);
      bytesWritten += bytes.length;
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (signal === 'SIGKILL') resolve(bytesWritten);
      else reject(new Error(`the child ended by itself, with ${code ?? signal}`));
    });
  });
}
