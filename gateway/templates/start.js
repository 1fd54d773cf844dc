// Shows the API document of this gateway. The access token that somebody enters stays in the page's memory.
window.ui = SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  // No foreign host validates the document.
  validatorUrl: null,
});
