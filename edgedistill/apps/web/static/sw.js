/** Keeps the package's files, so that the page works without a network after its first visit. */

const VERSION = "edgedistill-@VERSION@";
const FILES = "files.json";

self.addEventListener("install", (event) => {
  const fill = async () => {
    const names = await (await fetch(FILES, { cache: "no-store" })).json();
    await (await caches.open(VERSION)).addAll(["./", ...names]);
    await self.skipWaiting();
  };
  event.waitUntil(fill());
});

self.addEventListener("activate", (event) => {
  const clear = async () => {
    const old = (await caches.keys()).filter((name) => name.startsWith("edgedistill-") && name !== VERSION);
    await Promise.all(old.map((name) => caches.delete(name)));
    await self.clients.claim();
  };
  event.waitUntil(clear());
});

self.addEventListener("fetch", (event) => {
  if (event.request.method !== "GET") return;
  const answer = async () => (await caches.match(event.request, { ignoreSearch: true })) ?? fetch(event.request);
  event.respondWith(answer());
});
