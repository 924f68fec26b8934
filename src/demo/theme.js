// Light or dark, as chosen before; runs ahead of the page, so that nothing flashes. Not a module for that reason.

(() => {
  const chosen = localStorage.getItem("otc-im.theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
