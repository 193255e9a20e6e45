// A page on a disk may not read other pages: give Sphinx's search their texts from texts.js instead.
if (window.location.protocol === "file:") {
  const root = new URL(document.documentElement.dataset.content_root, window.location.href).href;
  window.fetch = async (address) => {
    const page = new URL(address, window.location.href).href.slice(root.length).replace(/\.html$/, "");
    const main = document.createElement("div");
    main.setAttribute("role", "main");
    main.textContent = PAGE_TEXTS[page] ?? "";
    return new Response(main.outerHTML);
  };
}
