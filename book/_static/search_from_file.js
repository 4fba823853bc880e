// A browser lets no page that was opened from a file fetch another one, which the page of search
// does for each page that it found. A script may be loaded; this one brings the text of all.
// Jupyter Book puts it into every page; only that of search asks for the text.
if (location.protocol === "file:" && location.pathname.endsWith("/search.html")) {
  const folder = new URL(".", location.href).href;
  const ready = new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = `${folder}search_texts.js`;
    script.onload = done;
    script.onerror = failed;
    document.head.append(script);
  });
  const fetchOverNetwork = window.fetch;
  window.fetch = async (address, ...others) => {
    await ready;
    const page = new URL(address, folder).href.slice(folder.length).split("#")[0];
    return page in SEARCH_TEXTS
      ? new Response(SEARCH_TEXTS[page])
      : fetchOverNetwork(address, ...others);
  };
}
