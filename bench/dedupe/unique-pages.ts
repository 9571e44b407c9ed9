/**
 * Counts the pages of all files under some directories, and how many of them differ: no deduplication of whole, aligned
 * pages can do with fewer. It uses nothing of Ramet: `node dist/bench/dedupe/unique-pages.js DIRECTORY…`.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

const PAGE_BYTES = 4096;

let pages = 0;
const different = new Set<string>();
for (const directory of process.argv.slice(2)) {
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const bytes = readFileSync(path.join(entry.parentPath, entry.name));
    for (let at = 0; at < bytes.length; at += PAGE_BYTES) {
      // A partial last page is filled up with zeros, as in memory.
      const page = Buffer.alloc(PAGE_BYTES);
      bytes.copy(page, 0, at, at + PAGE_BYTES);
      different.add(createHash('sha256').update(page).digest('base64'));
      pages++;
    }
  }
}
console.log(JSON.stringify({ pages, different: different.size }));
